//! What qstat of Grid Engine 8.1.9 printed.

use proptest::prelude::*;

use super::*;

const PRINTED: &str = include_str!("../samples/qstat.xml");
/// When the host's daemon had been dead for half a minute.
const UNHEARD: &str = include_str!("../samples/qstat-unheard.xml");
const DETAILS: &str = include_str!("../samples/jobs.xml");

fn of(jobs: &[Listed], id: &str) -> Status {
    jobs.iter().find(|job| job.id.0 == id).expect(id).status()
}

#[test]
fn jobs_are_read_as_qstat_prints_them() {
    let jobs = read(PRINTED).unwrap();
    assert_eq!(jobs.len(), 4);
    let Status::Running { host, started } = of(&jobs, "14") else { panic!("{jobs:?}") };
    assert_eq!(host.as_deref(), Some("localhost"));
    assert!(started.is_some());
    assert_eq!(of(&jobs, "13"), Status::Pending { reason: "qw".to_owned() });
    assert!(matches!(of(&jobs, "15"), Status::Ended(End::Failed(_))));
    let held = jobs.iter().find(|job| job.id.0 == "16").unwrap();
    assert!(held.is_held() && matches!(held.status(), Status::Pending { .. }));
}

#[test]
fn nothing_is_known_of_a_job_whose_host_is_silent() {
    let jobs = read(UNHEARD).unwrap();
    let Status::Unknown { reason } = of(&jobs, "14") else { panic!("{jobs:?}") };
    assert!(reason.contains("localhost"), "{reason}");
    assert!(matches!(of(&jobs, "13"), Status::Pending { .. }));
}

#[test]
fn marks_and_errors_are_among_the_details() {
    let details = read_details(DETAILS);
    let of = |id: &str| details.iter().find(|details| details.id.0 == id).expect(id);
    assert_eq!(of("14").mark.as_deref(), Some("redirector/g1/7"));
    assert_eq!(of("15").mark, None);
    let error = of("15").error.as_deref().unwrap();
    assert!(error.contains("can't chdir to /nowhere"), "{error}");
    assert_eq!(of("14").error, None);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "[<>/&; a-c\"='!?-]{0,80}", cut in 0..20_000_usize) {
        read(&text).ok();
        read_details(&text);
        let cut_short = |text: &str| text[..text.floor_char_boundary(cut)].to_owned();
        // Less than all of it is an error, never fewer jobs.
        let part = cut_short(PRINTED);
        prop_assert!(part.trim_end().ends_with("</job_info>") && part.len() + 1 >= PRINTED.len()
            || read(&part).is_err() || part.trim().is_empty() || !part.contains("<job_info"));
        read_details(&cut_short(DETAILS));
    }
}
