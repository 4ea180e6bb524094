//! What qsub is told, and what qsub and qalter say.

use std::ffi::OsString;

use crate::engine::batch::{Refusal, Request};

/// What may not be in the name of a job of Grid Engine.
const FORBIDDEN: &str = "/:@\\*?\"'`<>&|!$%^(){}[];,=~#";

/// The variable of a job's context that has the mark.
pub(super) const MARK: &str = "redirector";

/// The arguments of qsub for `request`, whose script goes to its standard input. `resources` are
/// those that the site counts memory and graphics processors by.
pub(super) fn arguments(
    request: &Request,
    (memory, gpus): (Option<&str>, Option<&str>),
) -> Result<Vec<OsString>, Refusal> {
    let options = &request.options;
    let mut name = request.safe_name(FORBIDDEN);
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    let mut output = OsString::from(&request.output);
    if request.output.to_string_lossy().contains(':') {
        // What is before a colon would be taken for a host.
        output = OsString::from(":");
        output.push(&request.output);
    }
    // Never started twice, whatever the queue says; not in the directory of this process.
    let mut words: Vec<OsString> = vec![
        "-terse".into(),
        "-r".into(),
        "n".into(),
        "-S".into(),
        "/bin/sh".into(),
        "-j".into(),
        "y".into(),
        "-o".into(),
        output,
        "-wd".into(),
        OsString::from(&request.directory),
        "-N".into(),
        name.into(),
        "-ac".into(),
        format!("{MARK}={}", request.mark).into(),
    ];
    match &options.parallel_environment {
        Some(environment) if request.cpus > 1 => {
            words.extend(["-pe".into(), environment.into(), request.cpus.to_string().into()]);
        }
        None if request.cpus > 1 => {
            return Err(Refusal::Permanent(format!(
                "{} cpus of one host need a parallel environment of Grid Engine: set \
                 'parallel_environment' of the pool to one that 'qconf -spl' lists and whose \
                 allocation rule is $pe_slots",
                request.cpus
            )));
        }
        Some(_) | None => {}
    }
    // Amounts are for each slot.
    let slots = u64::from(request.cpus.max(1));
    let mut option = |name: &str, value: &str| words.extend([name.into(), value.into()]);
    if let (Some(resource), Some(mem)) = (memory, request.mem_mb()) {
        option("-l", &format!("{resource}={}M", mem.div_ceil(slots)));
    }
    if let Some(walltime) = request.walltime {
        option("-l", &format!("h_rt={}", walltime.as_secs().max(1)));
    }
    if request.gpus > 0 {
        let resource = gpus.ok_or_else(|| {
            Refusal::Permanent(
                "graphics processors are asked for: set 'gpu_resource' of the pool to the \
                 resource that this Grid Engine counts them by ('qconf -sc' lists them)"
                    .to_owned(),
            )
        })?;
        option("-l", &format!("{resource}={}", u64::from(request.gpus).div_ceil(slots)));
    }
    if let Some(queue) = &options.partition {
        option("-q", queue);
    }
    if let Some(account) = &options.account {
        option("-A", account);
    }
    for resource in &options.resources {
        option("-l", resource);
    }
    words.extend(options.arguments.iter().map(OsString::from));
    Ok(words)
}

/// The id in what `qsub -terse` prints, perhaps after warnings.
pub(super) fn id(printed: &str) -> Option<&str> {
    let last = printed.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    let id = last.split('.').next().unwrap_or_default();
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// What `qalter -w p` finds in a job's way, as a sentence.
pub(super) fn obstacles(printed: &str) -> String {
    let mut obstacles = Vec::new();
    for line in printed.lines().map(str::trim) {
        let obstacle = match line.split_once(" cannot run ") {
            Some((_, rest)) => format!("cannot run {rest}"),
            None if line.starts_with("verification: found") => {
                return "it can start, and waits for the scheduler's next round".to_owned();
            }
            None => continue,
        };
        if !obstacles.contains(&obstacle) {
            obstacles.push(obstacle);
        }
    }
    if obstacles.is_empty() {
        return "Grid Engine tells no reason; no queue has room for it, or it has not looked yet"
            .to_owned();
    }
    format!("Grid Engine says that it {}", obstacles.join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::batch::request::tests::small;

    fn told(request: &Request) -> String {
        let words = arguments(request, (Some("h_vmem"), Some("gpu"))).unwrap();
        let words: Vec<_> = words.into_iter().map(|word| word.into_string().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn qsub_is_told_what_is_asked_for() {
        let mut request = small();
        assert_eq!(
            told(&request),
            "-terse -r n -S /bin/sh -j y -o /tmp/output -wd /tmp -N run.rule -ac \
             redirector=redirector/g1/7"
        );
        request.name = "1/2".to_owned();
        request.output = "/tmp/a:b".into();
        request.cpus = 4;
        request.mem = Some(3 << 30);
        request.gpus = 2;
        request.walltime = Some(Duration::from_secs(90));
        request.options.parallel_environment = Some("smp".to_owned());
        request.options.partition = Some("long.q".to_owned());
        request.options.resources = vec!["arch=lx-amd64".to_owned()];
        let told = told(&request);
        let (_, own) = told.split_once("-o ").unwrap();
        assert_eq!(
            own,
            ":/tmp/a:b -wd /tmp -N _1_2 -ac redirector=redirector/g1/7 -pe smp 4 -l h_vmem=768M \
             -l h_rt=90 -l gpu=1 -q long.q -l arch=lx-amd64"
        );
    }

    #[test]
    fn what_the_pool_does_not_say_how_to_ask_for_is_refused() {
        let mut request = small();
        request.cpus = 2;
        let refused = arguments(&request, (None, None)).unwrap_err().to_string();
        assert!(refused.contains("'parallel_environment'"), "{refused}");
        request.cpus = 1;
        request.gpus = 1;
        let refused = arguments(&request, (None, None)).unwrap_err().to_string();
        assert!(refused.contains("'gpu_resource'"), "{refused}");
    }

    #[test]
    fn obstacles_are_said_once() {
        let said = "Job 13 cannot run in PE \"smp\" because it only offers 0 slots\n\
                    Job 13 cannot run in PE \"smp\" because it only offers 0 slots\n\
                    verification: no suitable queues\n";
        assert_eq!(
            obstacles(said),
            "Grid Engine says that it cannot run in PE \"smp\" because it only offers 0 slots"
        );
        assert!(obstacles("verification: found possible assignment").contains("can start"));
        assert!(obstacles("").contains("no reason"));
        assert_eq!(id("warning: x\n12\n"), Some("12"));
        assert_eq!(id("Your job"), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            id(&text);
            obstacles(&text);
        }
    }
}
