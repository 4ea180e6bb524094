//! What rules ask of batch engines, and the pools that they name.

use std::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use proptest::prelude::*;

use super::{rule, with_command};
use crate::{Key, Rule, Verdict, is_engine_option, verdict};

/// The options of a rule, as text.
fn options(line: &str) -> Vec<(Key, String)> {
    let request = with_command("x", |command| rule(line).request(command));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    request.options.iter().map(|(key, value)| (key, text(value))).collect()
}

#[test]
fn all_options_of_engines() {
    let line = "x cpus=2 partition=main,debug account=lofar qos=high constraint=[a|b]&c \
                gres=nvme:1,fpga:arria10:2 nested licenses=matlab:2,ansys exclusive=on \
                parallel_environment=smp engine_resources=arch=lx-amd64,ssd \
                arguments='--nice=5  --hold' mem=1G";
    let expected = [
        (Key::Partition, "main,debug"),
        (Key::Account, "lofar"),
        (Key::Qos, "high"),
        (Key::Constraint, "[a|b]&c"),
        (Key::Gres, "nvme:1,fpga:arria10:2"),
        (Key::Licenses, "matlab:2,ansys"),
        (Key::Exclusive, "on"),
        (Key::ParallelEnvironment, "smp"),
        (Key::EngineResources, "arch=lx-amd64,ssd"),
        (Key::Arguments, "--nice=5  --hold"),
    ];
    assert_eq!(options(line), expected.map(|(key, value)| (key, value.to_string())));
    assert_eq!(options("x queue=long.q"), [(Key::Queue, "long.q".to_string())]);
    assert_eq!(options("x cpus=2 name=partition"), []);
}

#[test]
fn a_program_with_options_of_engines_is_matched_like_any_other() {
    for (line, expected) in [
        ("x partition=main account=a", Verdict::Redirect),
        ("x partition=main pool=long,local", Verdict::Redirect),
        ("x partition='a b'", Verdict::NoMatch),
        ("x partitions=main", Verdict::NoMatch),
    ] {
        let found = with_command("x", |command| verdict(line.as_bytes(), command));
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn mistakes_in_options_say_where_and_what() {
    for (line, column, message) in [
        (
            "x partition=",
            3,
            "expected a word without blanks that does not start with '-', after 'partition=', \
             found nothing",
        ),
        (
            "x account='a b'",
            12,
            "expected a word without blanks that does not start with '-', after 'account=', \
             found 'a b'",
        ),
        (
            "x queue=-l",
            9,
            "expected a word without blanks that does not start with '-', after 'queue=', found \
             '-l'",
        ),
        (
            "x gres=a:b:c:1",
            8,
            "expected generic resources such as nvme:1 or fpga:arria10:2, with commas between \
             them, after 'gres=', found 'a:b:c:1'",
        ),
        (
            "x licenses=matlab:0",
            12,
            "expected licenses such as matlab:2, with commas between them, after 'licenses=', \
             found 'matlab:0'",
        ),
        ("x exclusive=true", 13, "expected 'on' or 'off' after 'exclusive=', found 'true'"),
        (
            "x engine_resources=a,,b",
            20,
            "expected what qsub takes after -l, such as arch=lx-amd64, with commas between them, \
             after 'engine_resources=', found 'a,,b'",
        ),
        (
            "x arguments='script.sh --hold'",
            14,
            "expected options of the engine's submitting program, such as '--nice=5 --hold' in \
             quotes, after 'arguments=', found 'script.sh --hold'",
        ),
        (
            "x partition=a queue=b",
            15,
            "expected only one of 'partition' and 'queue' in a rule: they are the same",
        ),
        ("x qos=a qos=b", 9, "expected 'qos' only once in a rule"),
        (
            "x pool=a,,b",
            8,
            "expected names of pools with commas between them, each once, after 'pool=', found \
             'a,,b'",
        ),
        (
            "x pool=a,local,a",
            8,
            "expected names of pools with commas between them, each once, after 'pool=', found \
             'a,local,a'",
        ),
    ] {
        let error = Rule::parse(line.as_bytes()).unwrap_err();
        assert_eq!((error.column, error.to_string().as_str()), (column, message), "{line}");
    }
}

#[test]
fn values_are_checked_wherever_they_come_from() {
    assert_eq!(is_engine_option(Key::Gres, b"nvme:1"), Some(true));
    assert_eq!(is_engine_option(Key::Gres, b"nvme::1"), Some(false));
    assert_eq!(is_engine_option(Key::Cpus, b"4"), None);
    for bad in [&b"--"[..], b"-", b"", b"   ", b"x", b"--a\n--b"] {
        assert_eq!(is_engine_option(Key::Arguments, bad), Some(false), "{bad:?}");
    }
    for bad in [&b""[..], b"a\tb", b"\xff"] {
        assert_eq!(is_engine_option(Key::Partition, bad), Some(false), "{bad:?}");
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9:,=-]{1,8}", "[ -~]{1,8}", Just("on".to_string())]
}

proptest! {
    #[test]
    fn options_come_out_as_they_went_in(
        key in prop::sample::select(&Key::ALL[..]), value in value(),
    ) {
        let is_sound = is_engine_option(key, value.as_bytes());
        prop_assume!(!value.contains(['\'', '\\']));
        let line = format!("x cpus=1 {key}='{value}' mem=1G");
        match (is_sound, Rule::parse(line.as_bytes())) {
            (Some(true), read) => {
                prop_assert!(read.is_ok(), "{line}");
                prop_assert_eq!(options(&line), [(key, value)]);
            }
            (Some(false), read) => prop_assert!(read.is_err(), "{line}"),
            (None, Ok(Some(rule))) => {
                let request = with_command("x", |command| rule.request(command).options.is_empty());
                prop_assert!(request);
            }
            _ => {}
        }
    }
}
