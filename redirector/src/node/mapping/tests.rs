use proptest::prelude::*;

use super::*;
use crate::model::NodeName;

fn mapping(paths: &[(&str, &str)], variables: &[(&str, Option<&str>)]) -> Mapping {
    let mut host = Host::named(NodeName("there".to_owned()));
    host.path_map = paths.iter().map(|(here, there)| ((*here).into(), (*there).into())).collect();
    let variable = |(name, value): &(&str, Option<&str>)| ((*name).into(), value.map(Text::from));
    host.env = variables.iter().map(variable).collect();
    Mapping::of(&host)
}

fn environment(mapping: &Mapping, entries: &[&str]) -> Vec<String> {
    let entries: Vec<_> = entries.iter().map(|entry| Text::from(*entry)).collect();
    let there = mapping.environment(&entries);
    there.iter().map(|entry| entry.to_string_lossy().into_owned()).collect()
}

#[test]
fn directories_are_mapped_by_whole_parts_and_the_longest_that_fits() {
    let map = mapping(&[("/data", "/mnt/data"), ("/data/ref/", "/ref/"), ("/own", "/")], &[]);
    for (here, there) in [
        ("/data", "/mnt/data"),
        ("/data/", "/mnt/data/"),
        ("/data/run1/x.bam", "/mnt/data/run1/x.bam"),
        ("//data//run1/", "/mnt/data//run1/"),
        ("/data/ref", "/ref"),
        ("/data/ref/hg38.fa", "/ref/hg38.fa"),
        ("/data/reference", "/mnt/data/reference"),
        ("/database", "/database"),
        ("/mnt/data", "/mnt/data"),
        ("/own", "/"),
        ("/own/x", "/x"),
        ("/data/a/../b", "/mnt/data/a/../b"),
        ("/data/../etc", "/data/../etc"),
        ("/data/ref/../x", "/mnt/data/ref/../x"),
        ("data/x", "data/x"),
        ("bwa", "bwa"),
        ("", ""),
    ] {
        assert_eq!(map.directory(&here.into()), there.into(), "{here}");
        assert_eq!(map.program(&here.into()), there.into(), "{here}");
    }
    let root = mapping(&[("/", "/root")], &[]);
    assert_eq!(root.directory(&"/etc/x".into()), "/root/etc/x".into());
}

#[test]
fn arguments_are_mapped_where_they_are_paths() {
    let map = mapping(&[("/data", "/mnt")], &[]);
    for (here, there) in [
        ("/data/x", "/mnt/x"),
        ("--ref=/data/x", "--ref=/mnt/x"),
        ("of=/data/x=y", "of=/mnt/x=y"),
        ("-Dio.tmp=/data", "-Dio.tmp=/mnt"),
        ("a=b=/data/x", "a=b=/mnt/x"),
        ("-I/data/include", "-I/mnt/include"),
        ("/data/a:/data/b:/opt", "/mnt/a:/mnt/b:/opt"),
        ("--path=/data/a:/opt", "--path=/mnt/a:/opt"),
        ("/data/odd:name", "/mnt/odd:name"),
        ("a:/data/x", "a:/data/x"),
        ("--database=/database/x", "--database=/database/x"),
        ("cat /data/x", "cat /data/x"),
        ("cat x >/out; y=/data/x", "cat x >/out; y=/data/x"),
        ("file:///data/x", "file:///data/x"),
        ("-", "-"),
        ("--", "--"),
        ("-/data", "-/data"),
        ("", ""),
    ] {
        assert_eq!(map.argument(&here.into()), there.into(), "{here}");
    }
    let odd = Text::from(&b"--in=/data/\xff\xfe"[..]);
    assert_eq!(map.argument(&odd).0, b"--in=/mnt/\xff\xfe");
}

#[test]
fn what_is_true_of_this_computer_only_stays_here() {
    let map = mapping(&[], &[]);
    let kept = [
        "HOME=/home/ann",
        "LANG=C",
        "TERM=xterm",
        "OMP_NUM_THREADS=4",
        "SGE_ROOT=/opt/sge",
        "SLURM_CONF=/opt/slurm.conf",
        "JOB_ID=mine",
        "REDIRECTOR_ELEMENT=a",
        "no variable",
    ];
    let left_out = [
        "HOSTNAME=here",
        "DISPLAY=:0",
        "SSH_AUTH_SOCK=/tmp/x",
        "DBUS_SESSION_BUS_ADDRESS=unix:path=/x",
        "XDG_RUNTIME_DIR=/run/user/0",
        "XDG_SESSION_ID=1",
        "SLURM_JOB_ID=7",
        "PBS_JOBID=7",
        "LSB_JOBID=7",
        "TMPDIR=/scratch/7",
        "REDIRECTOR_RUN=r",
        "REDIRECTOR_TOKEN=t",
        "REDIRECTOR_STATE_DIR=/x",
        "LD_PRELOAD=/opt/libshim.so",
        "MAKEFLAGS= -j4 --jobserver-auth=3,4",
    ];
    assert_eq!(environment(&map, &[&left_out[..], &kept[..]].concat()), kept);
    let of_grid_engine = environment(&map, &["JOB_ID=7", "SGE_TASK_ID=undefined", "QUEUE=all.q"]);
    assert!(of_grid_engine.is_empty(), "{of_grid_engine:?}");
}

#[test]
fn of_some_variables_a_part_goes() {
    let map = mapping(&[("/data", "/mnt")], &[]);
    for (here, there) in [
        ("LD_PRELOAD=/data/a.so:/opt/libshim.so", "LD_PRELOAD=/mnt/a.so"),
        ("MAKEFLAGS=ks -j8 --jobserver-auth=3,4 -- CC=gcc", "MAKEFLAGS=ks -- CC=gcc"),
        ("MAKEFLAGS=w -j --jobserver-fds=3,4 -l4", "MAKEFLAGS=w -l4"),
        (
            "MAKEFLAGS=--jobserver-auth=fifo:/tmp/x -- FLAGS=-j4 --jobserver-x",
            "MAKEFLAGS=-- FLAGS=-j4 --jobserver-x",
        ),
        ("MAKEFLAGS=-j8", "MAKEFLAGS=-j8"),
        ("TMPDIR=/data/tmp", "TMPDIR=/mnt/tmp"),
        ("PATH=bin:/data/bin::/usr/bin", "PATH=bin:/mnt/bin::/usr/bin"),
        ("PWD=/data/run1", "PWD=/mnt/run1"),
        ("JARS=/data/a.jar:/data/b.jar", "JARS=/mnt/a.jar:/mnt/b.jar"),
        ("URL=http://data/x", "URL=http://data/x"),
        ("BASH_FUNC_f%%=() { cat /data/x; }", "BASH_FUNC_f%%=() { cat /data/x; }"),
        ("OPTIONS=--ref=/data/x", "OPTIONS=--ref=/data/x"),
    ] {
        assert_eq!(environment(&map, &[here]), [there]);
    }
}

#[test]
fn a_host_sets_variables_and_takes_them_away() {
    let variables = [
        ("PATH", Some("/opt/bin:$PATH")),
        ("SCRATCH", Some("/scratch/${SLURM_JOB_ID}/$$x")),
        ("PYTHONPATH", None),
        ("TMPDIR", Some("$TMPDIR/x")),
        ("EMPTY", Some("<$MISSING>$")),
    ];
    let map = mapping(&[("/data", "/mnt")], &variables);
    let there = environment(
        &map,
        &["PATH=/data/bin", "A=1", "PYTHONPATH=/x", "SLURM_JOB_ID=7", "TMPDIR=/shared"],
    );
    assert_eq!(
        there,
        ["PATH=/opt/bin:/mnt/bin", "A=1", "EMPTY=<>$", "SCRATCH=/scratch/7/$x", "TMPDIR=/shared/x"]
    );
}

/// Paths below few directories, so that they meet.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"ab".to_vec()),
        Just(b"..".to_vec()),
        Just(Vec::new()),
        Just(b"\xff".to_vec()),
    ];
    proptest::collection::vec(part, 1..5).prop_map(|parts| [b"/", &*parts.join(&b'/')].concat())
}

fn host(map: &[(Vec<u8>, Vec<u8>)]) -> Host {
    let mut host = Host::named(NodeName("there".to_owned()));
    host.path_map =
        map.iter().map(|(here, there)| (Text(here.clone()), Text(there.clone()))).collect();
    host
}

proptest! {
    #[test]
    fn nothing_is_mapped_without_a_map(argument: Vec<u8>) {
        let argument = Text(argument);
        let map = mapping(&[], &[]);
        prop_assert_eq!(map.argument(&argument), argument.clone());
        prop_assert_eq!(map.directory(&argument), argument);
    }

    #[test]
    fn what_leads_to_no_mapped_directory_is_the_same_the_second_time(
        here in path(), paths in proptest::collection::vec(path(), 0..6),
    ) {
        prop_assume!(!here.windows(2).any(|pair| pair == b".."));
        let map = Mapping::of(&host(&[(here, b"/elsewhere/x".to_vec())]));
        // Of all directories, the root alone holds what it is mapped to.
        prop_assume!(map.directory(&"/".into()) == "/".into());
        let entries: Vec<Text> = paths
            .iter()
            .map(|path| Text([b"APATH=", &**path].concat()))
            .chain(["DISPLAY=:0".into(), "LD_PRELOAD=/x/libshim.so:/y".into()])
            .collect();
        let once = map.environment(&entries);
        prop_assert_eq!(map.environment(&once), once);
        for path in paths {
            let once = map.argument(&Text(path));
            prop_assert_eq!(map.argument(&once), once.clone());
        }
    }

    #[test]
    fn the_longest_directory_wins_and_keeps_what_is_behind_it(
        outer in "/[a-c]{1,2}", inner in "/[a-c]{1,2}", name in "[a-c\u{e4}]{1,3}",
    ) {
        let map = mapping(&[(&outer, "/outer"), (&format!("{outer}{inner}"), "/inner")], &[]);
        let there = |path: String| map.directory(&Text::from(&*path));
        prop_assert_eq!(there(format!("{outer}{inner}/{name}")), Text::from(&*format!("/inner/{name}")));
        let beside = format!("{outer}{inner}{name}");
        prop_assert_eq!(there(beside), Text::from(&*format!("/outer{inner}{name}")));
        let other = format!("{outer}{name}/x");
        prop_assert_eq!(there(other.clone()), Text::from(&*other));
    }
}
