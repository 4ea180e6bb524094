//! What the end of an allocation, as its engine tells it, is for a job that ran there.

use std::time::Duration;

use crate::{engine::batch::End, model::Outcome};

/// What is known of an allocation that has ended, and of a job that ran there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances<'a> {
    /// What people call it.
    pub allocation: &'a str,
    /// Its longest time, or else how long the job ran.
    pub time_limit: Duration,
    /// The memory that it was given, in bytes, and what it had at its end; 0: not known.
    pub mem_limit: u64,
    pub mem_used: u64,
}

/// How a job has ended whose command or agent something outside has ended; `None`: the engine knows
/// nothing of it.
pub(super) fn verdict(end: &End, known: Circumstances<'_>) -> Option<Outcome> {
    let reason = || format!("{} {end}", known.allocation);
    Some(match end {
        End::TimeLimit => Outcome::TimedOut { time_limit: known.time_limit.as_millis() as u64 },
        End::OutOfMemory => {
            Outcome::OutOfMemory { mem_limit: known.mem_limit, mem_used: known.mem_used }
        }
        End::Cancelled { .. } => Outcome::Cancelled { reason: reason() },
        End::NodeFailure | End::Preempted | End::Requeued => Outcome::Lost { reason: reason() },
        // By itself, or in a way that says nothing of what ran there.
        End::Done(_) | End::Signal(_) | End::Failed(_) | End::NotBegun(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_explains_what_it_has_ended_itself() {
        let known = Circumstances {
            allocation: "allocation p-1 (slurm job 7)",
            time_limit: Duration::from_mins(2),
            mem_limit: 20,
            mem_used: 21,
        };
        let says = |end| verdict(&end, known);
        assert_eq!(says(End::TimeLimit), Some(Outcome::TimedOut { time_limit: 120_000 }));
        let out_of_memory = Outcome::OutOfMemory { mem_limit: 20, mem_used: 21 };
        assert_eq!(says(End::OutOfMemory), Some(out_of_memory));
        let reason = "allocation p-1 (slurm job 7) was cancelled by root".to_owned();
        let cancelled = says(End::Cancelled { by: Some("root".to_owned()) });
        assert_eq!(cancelled, Some(Outcome::Cancelled { reason }));
        for end in [End::NodeFailure, End::Preempted, End::Requeued] {
            let reason = format!("allocation p-1 (slurm job 7) {end}");
            assert_eq!(says(end), Some(Outcome::Lost { reason }), "it is tried again");
        }
        for end in [End::Done(0), End::Signal(9), End::Failed("why".to_owned())] {
            assert_eq!(says(end.clone()), None, "{end}");
        }
    }
}
