//! Whole lines and whole files: a table of situations, and what must hold for any bytes.

mod engine;
mod presets;

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use crate::{
    Command, Key, PER_UNIT, ProblemKind, Retries, Rule, Rules, Verdict, decide, problems, verdict,
};

/// The words of a command line; `'…'` keeps blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_string());
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

/// Calls `use_it` with the command `line`, whose first word is the resolved path.
fn with_command<R>(line: &str, use_it: impl FnOnce(&Command<'_, [String]>) -> R) -> R {
    let arguments = words(line);
    use_it(&Command { path: arguments[0].as_bytes(), arguments: &arguments[..] })
}

#[track_caller]
fn rule(line: &str) -> Rule<'_> {
    Rule::parse(line.as_bytes()).unwrap().unwrap()
}

#[test]
fn patterns_and_commands() {
    for (pattern, command, expected) in [
        ("bwa mem", "/usr/bin/bwa mem ref.fa", true),
        ("bwa mem", "bwa mem", true),
        ("bwa mem", "/usr/bin/bwa", false),
        ("bwa mem", "/usr/bin/bwa index mem", false),
        ("bwa mem", "/usr/bin/bwa2 mem", false),
        ("bwa mem # comment", "/usr/bin/bwa mem", true),
        ("  bwa\tmem\r", "/usr/bin/bwa mem", true),
        ("gatk *", "/usr/bin/gatk", false),
        ("gatk *", "/usr/bin/gatk Mutect2", true),
        ("/opt/site/bin/*", "/opt/site/bin/tool x", true),
        ("/opt/site/bin/*", "/opt/site/bin/deep/tool", false),
        ("/opt/site/bin/*", "tool", false),
        ("tool", "./tool", true),
        ("java … -jar *picard.jar", "/usr/bin/java -Xmx4g -jar /opt/picard.jar Sort", true),
        ("java ... -jar *picard.jar", "/usr/bin/java -jar picard.jar", true),
        ("java ... -jar *picard.jar", "/usr/bin/java -jar x.jar -jar picard.jar", true),
        ("java ... -jar *picard.jar", "/usr/bin/java picard.jar -jar x.jar", false),
        ("x ... a ... b c", "x a b a b b c d", true),
        ("x ... a ... b c", "x b c a b d c", false),
        ("x ...", "x", true),
        ("x ... *", "x", false),
        ("x '...'", "x ...", true),
        ("x '...'", "x a", false),
        ("x 'a b'", "x 'a b'", true),
        ("x ''", "x ''", true),
        ("x ''", "x a", false),
        ("'my tool' run", "'/opt/my tool' run", true),
        ("/opt/my\\ tool run", "'/opt/my tool' run", true),
        ("dd 'if=*'", "/bin/dd if=/dev/zero", true),
        ("dd OF=*", "/bin/dd OF=x", true),
        ("x nested y", "x nested y", true),
        ("x 'nested'", "x", false),
        ("x y nested", "x y", true),
        ("x nested", "x y", true),
        ("x nested cpus=1", "x", true),
        ("[bc]wa m?m", "/usr/bin/bwa mem", true),
        ("#bwa", "#bwa", false),
        ("\\#bwa", "#bwa", true),
        ("\\!bwa", "!bwa", true),
        ("", "bwa", false),
    ] {
        let found = with_command(command, |command| verdict(pattern.as_bytes(), command));
        let expected = if expected { Verdict::Redirect } else { Verdict::NoMatch };
        assert_eq!(found, expected, "rule {pattern} and command {command}");
    }
}

#[test]
fn an_exclamation_mark_runs_it_here() {
    for line in ["!samtools view ... -H", "! samtools view", "  !samtools"] {
        let found = with_command("/usr/bin/samtools view -H x.bam", |command| {
            verdict(line.as_bytes(), command)
        });
        assert_eq!(found, Verdict::RunHere, "{line}");
        assert!(!rule(line).redirects());
    }
}

#[test]
fn the_text_of_a_rule_is_its_pattern() {
    for (line, text) in [
        ("bwa mem   cpus=-t mem=8G", "bwa mem"),
        ("  bwa mem", "bwa mem"),
        ("!bwa 'a b'  # why", "bwa 'a b'"),
        ("make nested cpus=2", "make"),
        ("make nested x nested", "make nested x"),
    ] {
        assert_eq!(rule(line).text(), text.as_bytes());
    }
}

#[test]
fn a_rule_without_wildcards_is_about_one_program() {
    let only = |line| rule(line).only_program().map(Iterator::collect::<Vec<u8>>);
    for (line, program) in [
        ("bwa mem", Some("bwa")),
        ("!'my tool' *", Some("my tool")),
        ("/opt/a\\*b cpus=1", Some("/opt/a*b")),
        ("*sort", None),
        ("bwa?", None),
        ("[bc]wa", None),
    ] {
        assert_eq!(only(line).as_deref(), program.map(str::as_bytes), "{line}");
    }
}

#[test]
fn requests_follow_the_command_line() {
    const G: u64 = 1 << 30;
    const M: u64 = 1 << 20;
    for (line, command, cpus, mem) in [
        ("bwa mem cpus=-t:1", "bwa mem -t 8 ref.fa", Some(8.0), None),
        ("bwa mem cpus=-t:1", "bwa mem ref.fa", Some(1.0), None),
        ("bwa mem cpus=-t", "bwa mem ref.fa", None, None),
        ("s cpus=-@+1 mem=2G*cpus", "s -@ 3", Some(4.0), Some(8 * G)),
        ("s cpus=-@+1 mem=2G*cpus", "s", None, None),
        ("s cpus=-@:0+1 mem=-m:768M*cpus", "s", Some(1.0), Some(768 * M)),
        ("s mem=-m:768M*cpus cpus=-@:0+1", "s -@3 -m 1G", Some(4.0), Some(4 * G)),
        ("j mem=-Xmx:4G+1G", "j '-Xms1g -Xmx8g'", None, Some(9 * G)),
        ("j mem=-Xmx:4G+1G", "j", None, Some(5 * G)),
        ("j mem=1G+2*-m*2", "j -m 3G", None, Some(13 * G)),
        ("j mem='1G + 2 * -m'", "j -m 3G", None, Some(7 * G)),
        ("p mem=-m|--memory:250*1G", "p --memory=16", None, Some(16 * G)),
        ("p cpus=0.25 mem=1.5G*cpus", "p", Some(0.25), Some(384 * M)),
    ] {
        let request = with_command(command, |command| rule(line).request(command));
        let cpus = cpus.map(|cpus: f64| (cpus * PER_UNIT as f64) as u64);
        assert_eq!((request.cpus, request.mem), (cpus, mem), "rule {line}, command {command}");
        assert!(request.problems.is_empty());
    }
}

#[test]
fn all_attributes() {
    let line = "x name='a b' cpus=2 mem=1K gpus=0.5 time=1h*cpus priority=-5 pool=big host=node1 \
                tags=a,b retries=2 resources=licence:1,tape-drives:0.5 cache=on stage=off nested \
                env=A=1,B=x=y,C=";
    let request = with_command("x", |command| rule(line).request(command));
    assert_eq!(request.name, Some(&b"a b"[..]));
    assert_eq!((request.cpus, request.mem), (Some(20_000), Some(1024)));
    assert_eq!((request.gpus, request.time), (Some(5_000), Some(7200)));
    let twice = Retries { node: 2, oom: 2, exit: 2 };
    assert_eq!((request.priority, request.retries), (Some(-5), Some(twice)));
    let pools: Vec<(&[u8], u64)> = request.resources.iter().collect();
    assert_eq!(pools, [(&b"licence"[..], 10_000), (b"tape-drives", 5_000)]);
    assert_eq!((request.pool, request.host), (Some(&b"big"[..]), Some(&b"node1"[..])));
    assert_eq!(request.tags.iter().collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!((request.cache, request.stage, request.nested), (true, Some(false), true));
    let env: Vec<(&[u8], &[u8])> = request.env.iter().collect();
    assert_eq!(env, [(&b"A"[..], &b"1"[..]), (b"B", b"x=y"), (b"C", b"")]);
}

#[test]
fn retries_by_cause() {
    for (value, node, oom, exit) in [
        ("0", 0, 0, 0),
        ("3", 3, 3, 3),
        ("node:3,oom:2,exit:1", 3, 2, 1),
        ("oom:2", 0, 2, 0),
        ("exit:1,node:0", 0, 0, 1),
    ] {
        let line = std::format!("x retries={value}");
        let request = with_command("x", |command| rule(&line).request(command));
        assert_eq!(request.retries, Some(Retries { node, oom, exit }), "{value}");
    }
    for value in ["oom", "oom:", "oom:x", "disk:1", "oom:1,", "oom:1,oom:2", "oom:1:2", "1,2"] {
        assert!(Rule::parse(std::format!("x retries={value}").as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn pools_have_a_name_and_an_amount() {
    for value in ["a", "a:", "a:x", ":1", "A:1", "1a:1", "a:1,", "a:1,a:2", "mem:1", "a:1:2"] {
        assert!(Rule::parse(std::format!("x resources={value}").as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn what_a_command_line_cannot_give_is_left_out_and_reported() {
    let rule = rule("x cpus=-t:4 mem=1G*cpus time=-w|--walltime gpus=1");
    let request = with_command("x -t auto -w", |command| rule.request(command));
    assert_eq!((request.cpus, request.mem, request.time), (None, None, None));
    assert_eq!(request.gpus, Some(10_000));
    let found: Vec<String> = request.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "'cpus' is left out: expected a number such as 4 in argument 2, the value of '-t'",
            "'time' is left out: expected a time such as 30m or 1:30:00 in argument 4, \
             the value of '-w|--walltime'",
        ]
    );

    let rule = self::rule("x cpus=-t:4 mem=1G*cpus time=1h*cpus");
    let request = with_command("x -t 0", |command| rule.request(command));
    assert_eq!((request.cpus, request.mem, request.time), (None, None, None));
    let problem = request.problems.iter().next().unwrap();
    assert_eq!((problem.key, problem.kind), (Key::Cpus, ProblemKind::NoCpus));
}

#[test]
fn enormous_numbers_are_the_largest() {
    let line = "x cpus=-t*-t*-t+-t mem=-m*-m*-m*-m";
    let command = "x -t 99999999999999999999 -m 99999999999999T";
    let request = with_command(command, |command| rule(line).request(command));
    assert_eq!((request.cpus, request.mem), (Some(u64::MAX), Some(u64::MAX)));
}

#[test]
fn mistakes_say_where_and_what() {
    for (line, column, message) in [
        (
            "bwa mem mem=lots",
            13,
            "expected a number with a unit such as 8G after 'mem=', found 'lots'",
        ),
        ("x mem=", 3, "expected a number with a unit such as 8G after 'mem=', found nothing"),
        ("x mem=2G*", 9, "expected a number with a unit such as 8G after 'mem=', found nothing"),
        ("x mem=2G*4x", 10, "expected a number with a unit such as 8G after 'mem=', found '4x'"),
        ("x mem='2G 3G'", 11, "expected '+' or '*' between the terms of 'mem=', found '3G'"),
        (
            "x mem=1G+cpus",
            10,
            "expected a 'cpus=' attribute in the rule, because 'mem=' uses its value",
        ),
        (
            "x cpus=cpus",
            8,
            "expected a number with at most 4 decimals such as 4 or 0.25, or an option such as -t, \
             after 'cpus=', found 'cpus'",
        ),
        (
            "x cpus=-t|--",
            11,
            "expected a number with at most 4 decimals such as 4 or 0.25, or an option such as -t, \
             after 'cpus=', found '--'",
        ),
        (
            "x cpus=0.0",
            8,
            "expected more than 0 after 'cpus='; parts such as 0.1 of a cpu are fine",
        ),
        (
            "x time=1:30",
            8,
            "expected a time such as 90s, 30m, 4h, 2d, 1:30:00 or 2-00:00:00 after 'time=', \
             found '1:30'",
        ),
        (
            "x mem=1G cpu=4",
            10,
            "expected one of the attributes name, cpus, mem, gpus, time, priority, pool, host, \
             tags, retries, resources, cache, stage, nested, env, partition, queue, account, qos, \
             constraint, gres, licenses, exclusive, parallel_environment, engine_resources, \
             arguments, found 'cpu'; put an argument that looks like this in quotes",
        ),
        (
            "x mem=1G y",
            10,
            "expected only attributes (KEY=VALUE) after the first one, found 'y'; \
             arguments of the command go before the attributes",
        ),
        ("x mem=1G mem=2G", 10, "expected 'mem' only once in a rule"),
        ("x nested nested=off", 10, "expected 'nested' only once in a rule"),
        (
            "!x mem=1G",
            4,
            "expected no attributes in a '!' rule: it runs the command here, not as a job",
        ),
        (
            " cpus=4",
            2,
            "expected a program before the attributes, such as 'bwa' in 'bwa mem cpus=4'",
        ),
        ("!", 1, "expected a program before the attributes, such as 'bwa' in 'bwa mem cpus=4'"),
        ("'' x", 1, "expected a program before the attributes, such as 'bwa' in 'bwa mem cpus=4'"),
        (
            "~/bin/x",
            1,
            "expected a whole path or a file name; '~' means nothing here, \
             write the path of the home folder",
        ),
        (
            "x 'a b",
            3,
            "expected a closing quote before the end of the line; \
             write \\' or \\\" for a quote that is meant literally",
        ),
        (
            "x a\\",
            4,
            "expected a character after '\\'; write \\\\ for a backslash, \
             and each rule on one line",
        ),
        (
            "x y[ab",
            4,
            "expected ']' to end the set of characters; \
             write \\[ for a bracket that is meant literally",
        ),
        ("x [z-a]", 3, "expected a range that goes upwards, such as [a-z], in a set"),
        (
            "x retries=-1",
            11,
            "expected a whole number such as 2, or node:3,oom:2,exit:1, after 'retries=', \
             found '-1'",
        ),
        (
            "x resources=gpus:1",
            13,
            "expected NAME:AMOUNT pairs such as licence:1 with commas between them, each name \
             once and none of cpus, mem and gpus, after 'resources=', found 'gpus:1'",
        ),
        (
            "x priority=high",
            12,
            "expected a whole number such as 10 or -5 after 'priority=', found 'high'",
        ),
        (
            "x priority=-2147483649",
            12,
            "expected a whole number such as 10 or -5 after 'priority=', found '-2147483649'",
        ),
        (
            "x retries=4294967296",
            11,
            "expected a whole number such as 2, or node:3,oom:2,exit:1, after 'retries=', \
             found '4294967296'",
        ),
        ("x cache=yes", 9, "expected 'on' or 'off' after 'cache=', found 'yes'"),
        ("x tags=a,,b", 8, "expected words with commas between them after 'tags=', found 'a,,b'"),
        (
            "x env=1A=2",
            7,
            "expected NAME=VALUE pairs with commas between them after 'env=', found '1A=2'",
        ),
        (
            "x name='a'b",
            8,
            "expected a word, in quotes if it holds blanks, after 'name=', found ''a'b'",
        ),
    ] {
        let error = Rule::parse(line.as_bytes()).unwrap_err();
        assert_eq!((error.column, error.to_string().as_str()), (column, message), "{line}");
    }
}

#[test]
fn a_line_may_be_as_long_as_the_limit() {
    let mut line = "x ".repeat(crate::MAX_LINE / 2);
    assert_eq!(line.len(), crate::MAX_LINE);
    assert!(Rule::parse(line.as_bytes()).is_ok());
    line.push('x');
    let error = Rule::parse(line.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "expected at most 1024 bytes in a line");
    assert_eq!(error.column, 1025);
    line.insert(0, '#');
    assert!(Rule::parse(line.as_bytes()).unwrap().is_none(), "comments have no limit");
}

#[test]
fn the_last_rule_of_a_file_decides() {
    let text = b"bwa mem cpus=1\n\n# a comment\nbwa mem cpus=2\r\n!bwa mem -h\nbwa mem oops=3\n";
    let line_of = |command| {
        with_command(command, |command| {
            decide(text, command).map(|(line, rule)| (line, rule.redirects()))
        })
    };
    assert_eq!(line_of("bwa mem x"), Some((4, true)));
    assert_eq!(line_of("bwa mem -h"), Some((5, false)));
    assert_eq!(line_of("bwa index"), None);
    assert_eq!(
        problems(text).map(|(line, error)| (line, error.column)).collect::<Vec<_>>(),
        [(6, 9)]
    );
    assert_eq!(Rules::new(text).map(|(line, _)| line).collect::<Vec<_>>(), [1, 4, 5, 6]);
    assert_eq!(Rules::new(b"").count(), 0);
}

/// Lines made of the pieces that rules are made of, so that many are nearly right.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(
        &[
            "bwa",
            "mem",
            "*",
            "?",
            "...",
            "…",
            " ",
            " ",
            " ",
            "'",
            "\"",
            "\\",
            "[",
            "]",
            "!",
            "-",
            "#",
            "/",
            "cpus=",
            "mem=",
            "time=",
            "name=",
            "tags=",
            "env=",
            "retries=",
            "nested",
            "-t",
            "-t|--threads",
            ":",
            "+",
            "cpus",
            "2G",
            "4",
            "0.5",
            "1:30:00",
            " retries=",
            "oom:2",
            " resources=",
            "licence:1",
            " partition=",
            " queue=",
            " gres=",
            "nvme:1",
            " exclusive=",
            " arguments=",
            "--hold",
            " pool=",
            "on",
            "off",
            ",",
            "=",
            "x",
            "ö",
        ][..],
    );
    prop_oneof![
        3 => prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat().into_bytes()),
        1 => any::<Vec<u8>>(),
    ]
}

fn arguments() -> impl Strategy<Value = Vec<String>> {
    let argument = prop::sample::select(
        &["bwa", "mem", "-t", "8", "-t4", "--threads=2", "--", "", "x", "-t 4 x", "[", "#"][..],
    );
    prop::collection::vec(argument.prop_map(String::from), 0..6)
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"bwa".to_vec()),
        Just(b"/usr/bin/bwa".to_vec()),
        Just(b"/x".to_vec()),
        any::<Vec<u8>>(),
    ]
}

/// Arguments by their definition: some way to hand them out to the patterns exists.
fn naive_arguments(patterns: &[&str], arguments: &[String]) -> bool {
    match patterns.split_first() {
        None => true,
        Some((&"...", patterns)) => {
            (0..=arguments.len()).any(|skipped| naive_arguments(patterns, &arguments[skipped..]))
        }
        Some((pattern, patterns)) => {
            arguments.split_first().is_some_and(|(argument, arguments)| {
                (*pattern == "?" || pattern == argument) && naive_arguments(patterns, arguments)
            })
        }
    }
}

proptest! {
    #[test]
    fn the_quick_look_agrees_with_the_rule(
        line in line(), path in path(), arguments in arguments(),
    ) {
        let command = Command { path: &path, arguments: &arguments[..] };
        let expected = match Rule::parse(&line) {
            Ok(Some(rule)) if rule.matches(&command) && rule.redirects() => Verdict::Redirect,
            Ok(Some(rule)) if rule.matches(&command) => Verdict::RunHere,
            _ => Verdict::NoMatch,
        };
        prop_assert_eq!(verdict(&line, &command), expected);
    }

    #[test]
    fn any_bytes_are_survived(
        lines in prop::collection::vec(line(), 0..5), path in path(), arguments in arguments(),
    ) {
        let text = lines.join(&b'\n');
        let command = Command { path: &path, arguments: &arguments[..] };
        if let Some((_, rule)) = decide(&text, &command) {
            prop_assert!(rule.matches(&command));
        }
        for (_, rule) in Rules::new(&text) {
            if let Ok(rule) = rule {
                let request = rule.request(&command);
                prop_assert_eq!(request.options.is_empty(), request.options.iter().next().is_none());
                prop_assert_ne!(request.cpus, Some(0));
                let mut pools: Vec<&[u8]> = request.resources.iter().map(|(name, _)| name).collect();
                pools.sort_unstable();
                prop_assert!(pools.windows(2).all(|pair| pair[0] != pair[1]));
                for problem in request.problems.iter() {
                    prop_assert!(!problem.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn mistakes_are_inside_the_line(line in line()) {
        if let Err(error) = Rule::parse(&line) {
            prop_assert!((1..=line.len()).contains(&(error.column as usize)));
            prop_assert!(error.to_string().starts_with("expected "));
        }
    }

    #[test]
    fn arguments_match_by_their_definition(
        patterns in prop::collection::vec(prop::sample::select(&["a", "b", "?", "..."][..]), 0..7),
        arguments in prop::collection::vec("[ab]", 0..9),
    ) {
        let line = std::format!("x {}", patterns.join(" "));
        let expected = naive_arguments(&patterns, &arguments);
        let mut argv = std::vec![String::from("x")];
        argv.extend(arguments);
        let command = Command { path: b"x", arguments: &argv[..] };
        prop_assert_eq!(rule(&line).matches(&command), expected);
    }

    #[test]
    fn numbers_come_out_as_they_went_in(cpus in 1..1_000_000_u64, mem in 0..1_u64 << 50) {
        let line = std::format!("x cpus={}.{:04} mem={mem}", cpus / 10_000, cpus % 10_000);
        let request = with_command("x", |command| rule(&line).request(command));
        prop_assert_eq!((request.cpus, request.mem), (Some(cpus), Some(mem)));
    }
}
