//! `redirector cancel`

use super::{
    Outcome,
    each::each,
    ids::{self, IdRange},
};

/// Cancel jobs and everything that came out of them
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12; a run's number cancels the whole run
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
    /// Why, for those who wait for the jobs
    #[arg(long, default_value = "it was cancelled")]
    reason: String,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let ids = ids::all(&arguments.ids)?;
    each(&ids, "cancelled", "has ended already", &async |client, id| {
        client.cancel(id, &arguments.reason).await
    })
}
