//! What files make of `[[pools]]`.

use super::*;

#[test]
fn pools_have_an_engine_a_mode_and_options() {
    let config = read(
        r#"
        [[pools]]
        name = "each"
        engine = "slurm"
        partition = "main"
        account = "lofar"
        exclusive = true
        arguments = ["--nice=100"]
        walltime = "2h"
        interval = "30s"
        engine_env = { SLURM_CONF = "/etc/slurm.conf", SLURM_JWT = false }
        [[pools]]
        name = "many"
        engine = "gridengine"
        mode = "pilot"
        queue = "long.q"
        parallel_environment = "smp"
        memory_resource = "h_vmem"
        cpus = 16
        mem = "64G"
        walltime = "4h"
        max_blocks = 8
        backlog = 0.5
        env = { TMPDIR = "/scratch" }
        [[pools]]
        name = "pbs"
        engine = "command"
        submit = "qsub -N {name} 'a b' {script}"
        status = ["qstat", "{ids}"]
        cancel = "qdel {ids}"
        states = { X = "node-failure" }
        "#,
    )
    .unwrap();
    let [each, many, pbs] = &config.pools[..] else { panic!("{:?}", config.pools) };
    assert_eq!((each.engine.word(), each.mode.word()), ("slurm", "per_job"));
    assert_eq!(each.options.partition.as_deref(), Some("main"));
    assert_eq!(each.options.exclusive, Some(true));
    assert_eq!(each.walltime, Some(Duration::from_hours(2)));
    assert_eq!(each.interval, Duration::from_secs(30));
    assert_eq!(each.engine_env[&"SLURM_JWT".into()], None);
    let PoolMode::Pilot(pilot) = &many.mode else { panic!("{many:?}") };
    assert_eq!((pilot.min_blocks, pilot.max_blocks, pilot.cpus), (0, 8, 16));
    assert_eq!((pilot.mem, pilot.walltime), (Some(64 << 30), Duration::from_hours(4)));
    assert_eq!((pilot.backlog, pilot.idle_timeout), (Amount(5_000), Duration::from_mins(5)));
    assert_eq!(many.options.partition.as_deref(), Some("long.q"));
    let Engine::Command(templates) = &pbs.engine else { panic!("{pbs:?}") };
    assert_eq!(templates.submit, ["qsub", "-N", "{name}", "a b", "{script}"]);
    assert_eq!(templates.states["X"], StateWord::NodeFailure);
    let file = config.files[0].display().to_string();
    assert_eq!(config.pool_origins.get("pools.many.walltime"), Some(&file));
    assert_eq!(config.pool_origins.get("pools.each.engine_env.SLURM_JWT"), Some(&file));
    let shown = many.settings();
    assert!(shown.contains(&("max_blocks".to_owned(), "8".to_owned())), "{shown:?}");
}

#[test]
fn what_is_wrong_with_a_pool_is_said_with_its_line() {
    let slurm = "engine = 'slurm'\n";
    for (text, part) in [
        ("", "no 'engine'"),
        ("engine = 'lsf'", "lsf"),
        ("engine = 'slurm'\ncpu = 4", "cpu"),
        ("engine = 'slurm'\nparallel_environment = 'smp'", "for engine = \"gridengine\""),
        ("engine = 'gridengine'\ngres = 'gpu:1'", "this is \"gridengine\""),
        ("engine = 'slurm'\nsubmit = 'qsub'", "for engine = \"command\""),
        ("engine = 'slurm'\nid_pattern = '(.*)'", "for engine = \"command\""),
        ("engine = 'command'\nsubmit = 'qsub'", "needs 'status'"),
        ("engine = 'command'\nsubmit = \"qsub 'a\"", "submit"),
        ("engine = 'command'\nsubmit = ''", "expected a command"),
        ("engine = 'slurm'\nmax_blocks = 4", "for mode = \"pilot\""),
        ("engine = 'slurm'\nmode = 'pilot'\nwalltime = '1h'", "needs 'cpus'"),
        ("engine = 'slurm'\nmode = 'pilot'\ncpus = 4", "needs 'walltime'"),
        (
            "engine = 'slurm'\nmode = 'pilot'\ncpus = 4\nwalltime = '1h'\nmin_blocks = 2",
            "more than 'max_blocks = 1'",
        ),
        ("engine = 'slurm'\ninterval = 0", "at least 1s"),
        ("engine = 'slurm'\nrest = 'head:6820'", "http://head:6820"),
        ("engine = 'slurm'\nrest = 'https://head:6820'", "https is not supported"),
        ("engine = 'slurm'\nrest = 'http://h'\narguments = ['-x']", "does without"),
        ("engine = 'slurm'\ntags = ['a,b']", "'a,b'"),
        ("engine = 'slurm'\npath_map = { data = '/data' }", "path_map"),
        ("engine = 'slurm'\nenv = { 'A=B' = 'c' }", "'env'"),
        ("engine = 'slurm'\nenv = { A = true }", "env.A"),
    ] {
        let said = read(&format!("[[pools]]\nname = 'long'\n{text}\n")).unwrap_err();
        assert!(said.contains(part), "{text}: {said}");
        assert!(said.contains("line 2") || said.contains("TOML parse error"), "{text}: {said}");
    }
    let twice = format!("[[pools]]\nname = 'a'\n{slurm}[[pools]]\nname = 'a'\n{slurm}");
    assert!(read(&twice).unwrap_err().contains("line 2 already"));
    let name = format!("[[pools]]\nname = 'a b'\n{slurm}");
    assert!(read(&name).unwrap_err().contains("name of a pool"));
    let local = format!("[[pools]]\nname = 'local'\n{slurm}");
    let said = read(&local).unwrap_err();
    assert!(said.contains("line 2") && said.contains("called 'local'"), "{said}");
}

#[test]
fn a_later_file_changes_pools_setting_by_setting() {
    let directory = tempfile::tempdir().unwrap();
    let first = write(
        directory.path(),
        "redirector.toml",
        "[[pools]]\nname = 'a'\nengine = 'slurm'\npartition = 'main'\nenv = { A = '1' }\n\
         [[pools]]\nname = 'b'\nengine = 'slurm'\n",
    );
    let second = write(
        directory.path(),
        "redirector.here.toml",
        "[[pools]]\nname = 'a'\npartition = 'long'\nenv = { B = '2' }\n\
         [[pools]]\nname = 'b'\nenabled = false\n",
    );
    let mut config = Config::default();
    let mut collected = Collected::default();
    config.read(&first, &mut collected).unwrap();
    config.read(&second, &mut collected).unwrap();
    config.settle(collected, "here").unwrap();
    let [pool] = &config.pools[..] else { panic!("{:?}", config.pools) };
    assert_eq!(pool.options.partition.as_deref(), Some("long"));
    assert_eq!(pool.env.len(), 2);
    let from = config.pool_origins.get("pools.a.partition").unwrap();
    assert_eq!(*from, second.display().to_string());
}
