//! What files and variables make of the configuration.

mod pools;

use super::*;
use crate::model::NodeName;

fn read(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("redirector.toml");
    fs::write(&file, text).expect("just made");
    let mut config = Config::default();
    let mut collected = Collected::default();
    config.read(&file, &mut collected).map_err(|error| error.to_string())?;
    config.settle(collected, "here").map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn a_file_sets_what_it_names() {
    let config = read(
        "[node]\ncpus = 1.5\ngpus = 2\npin = false\nmax_jobs = 7\n\
         [node.pools]\nlicence = 2\nscratch = \"0.5\"\n[client]\nmode = \"dry-run\"\n",
    )
    .unwrap();
    let node = &config.node;
    assert_eq!(node.cpus.value, Some(Amount(15_000)));
    assert_eq!((node.gpus.value, node.max_jobs.value), (Some(2), Some(7)));
    assert_eq!((node.pin.value, node.enforce_memory.value), (false, true));
    assert_eq!(node.pin.origin, config.files[0].display().to_string());
    let pools: Vec<_> = node.pools.iter().map(|(name, pool)| (name.as_str(), pool.value)).collect();
    assert_eq!(pools, [("licence", Amount::whole(2)), ("scratch", Amount(5_000))]);
    assert_eq!(config.client.mode.value, Mode::DryRun);
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_name() {
    for (text, part) in [
        ("[node.pools]\nmem = 1", "'mem'"),
        ("[node.pools]\ngpus = 1", "'gpus'"),
        ("[node.pools]\n\"a b\" = 1", "'a b'"),
        ("[node.pools]\nlicence = \"many\"", "many"),
        ("[node]\ngpus = -1", "gpus"),
        ("[client]\nmode = \"fast\"", "fast"),
        ("[node]\ncpu = 1", "cpu"),
        ("[gateway]\nrendezvous = \"sometimes\"", "`auto`, `always`, `never`"),
    ] {
        let said = read(text).unwrap_err();
        assert!(said.contains(part) && said.contains("redirector.toml"), "{text}: {said}");
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, text).expect("a directory of this test");
    file
}

fn names(config: &Config) -> Vec<&str> {
    config.hosts.iter().map(|host| &*host.name.0).collect()
}

#[test]
fn hosts_come_from_the_list_and_from_tables() {
    let config = read(
        r#"
        [ssh]
        hosts = ["4/node7", "ann@node[08-09]"]
        command = "ssh -F /etc/lab/ssh_config"
        lost_after = "90s"
        cache_size = "20G"
        [[hosts]]
        name = "big[1-2]"
        address = "ann@{}.example.org:2222"
        cpus = 1.5
        mem = "32G"
        gpus = 2
        max_per_node = 3
        setup = "module load bwa"
        tags = ["fast", "large"]
        stage = true
        pools = { licence = 2 }
        path_map = { "/data" = "/mnt/data" }
        env = { PATH = "/opt/bin:$PATH", OMP_NUM_THREADS = 4, PYTHONPATH = false }
        "#,
    )
    .unwrap();
    assert_eq!(names(&config), ["node7", "node08", "node09", "big1", "big2"]);
    assert_eq!(config.ssh.command, ["ssh", "-F", "/etc/lab/ssh_config"]);
    assert_eq!(config.ssh.lost_after, Duration::from_secs(90));
    assert_eq!(config.ssh.cache_size, Some(20 << 30));
    assert_eq!(config.hosts[0].cpus, Some(Amount::whole(4)));
    assert_eq!(config.hosts[1].address, "ann@node08");
    let expected = Host {
        name: NodeName("big2".to_owned()),
        address: "ann@big2.example.org:2222".to_owned(),
        cpus: Some(Amount(15_000)),
        mem: Some(32 << 30),
        gpus: Some(2),
        pools: [(PoolName::new("licence").unwrap(), Amount::whole(2))].into(),
        max_per_node: Some(3),
        setup: Some("module load bwa".to_owned()),
        path_map: [("/data".into(), "/mnt/data".into())].into(),
        env: [
            ("PATH".into(), Some("/opt/bin:$PATH".into())),
            ("OMP_NUM_THREADS".into(), Some("4".into())),
            ("PYTHONPATH".into(), None),
        ]
        .into(),
        tags: vec!["fast".to_owned(), "large".to_owned()],
        stage: true,
    };
    assert_eq!(config.hosts[4], expected);
    let from = |setting: &str| config.host_origins.get(setting).cloned();
    let file = Some(config.files[0].display().to_string());
    assert_eq!(from("ssh.lost_after"), file);
    assert_eq!(from("hosts.node7.cpus"), file);
    assert_eq!(from("hosts.big1.env.PATH"), file);
    assert_eq!(from("hosts.node7.mem"), None);
}

#[test]
fn a_later_file_changes_hosts_field_by_field() {
    let directory = tempfile::tempdir().unwrap();
    let first = write(
        directory.path(),
        "redirector.toml",
        "[ssh]\nhosts = [\"a\", \"here\", \"c\"]\n[[hosts]]\nname = \"b\"\naddress = \"ann@b\"\n\
         cpus = 4\ntags = [\"x\"]\npath_map = { \"/data\" = \"/mnt\", \"/ref\" = \"/ref2\" }\n",
    );
    let second = write(
        directory.path(),
        "redirector.here.toml",
        "[ssh]\nhosts = [\"8/a\", \"d\"]\n[[hosts]]\nname = \"b\"\nmem = \"1G\"\n\
         path_map = { \"/data\" = \"/srv\" }\n[[hosts]]\nname = \"here\"\nenabled = false\n\
         [[hosts]]\nname = \"c\"\nenabled = false\n",
    );
    let (mut config, mut collected) = (Config::default(), Collected::default());
    config.read(&first, &mut collected).unwrap();
    config.read(&second, &mut collected).unwrap();
    collected.list_all(&parse_host_list("2/d,e").unwrap(), "REDIRECTOR_HOSTS");
    config.settle(collected, "here").unwrap();
    assert_eq!(names(&config), ["a", "b", "d", "e"]);
    let b = &config.hosts[1];
    assert_eq!((&*b.address, b.cpus, b.mem), ("ann@b", Some(Amount::whole(4)), Some(1 << 30)));
    assert_eq!(b.tags, ["x"]);
    let map: Vec<_> = b.path_map.values().map(|there| there.to_string_lossy()).collect();
    assert_eq!(map, ["/srv", "/ref2"]);
    assert_eq!(config.hosts[0].cpus, Some(Amount::whole(8)));
    assert_eq!(config.hosts[2].cpus, Some(Amount::whole(2)));
    let from = |setting: &str| config.host_origins[setting].clone();
    assert_eq!(from("hosts.b.cpus"), first.display().to_string());
    assert_eq!(from("hosts.b.mem"), second.display().to_string());
    assert_eq!(from("hosts.d.address"), second.display().to_string());
    assert_eq!(from("hosts.d.cpus"), "REDIRECTOR_HOSTS");
}

#[test]
fn what_is_wrong_with_hosts_is_said_with_file_and_line() {
    for (text, parts) in [
        ("[ssh]\nhosts = [\n\"a\",\n\"a\"]", ["line 4", "line 3 already"]),
        ("[ssh]\nhosts = [\"a\"]\n[[hosts]]\nname = \"a\"", ["line 4", "line 2 already"]),
        ("[[hosts]]\nname = \"a\"\n\n[[hosts]]\nname = \"a\"", ["line 5", "line 2 already"]),
        ("[ssh]\n\nhosts = [\"many/a\"]", ["line 3", "number of cpus"]),
        ("[[hosts]]\nname = \"a b\"", ["line 2", "cannot be the name"]),
        ("[[hosts]]\nname = \"a\"\naddress = \"-x\"", ["line 2", "no address"]),
        ("[[hosts]]\ncpus = 4", ["line 1", "missing field `name`"]),
        ("[[hosts]]\nname = \"a\"\ncpu = 4", ["line 3", "expected one of `name`, `enabled`"]),
        ("[[hosts]]\nname = \"a\"\ncpus = \"lots\"", ["line 3", "number of cpus"]),
        ("[[hosts]]\nname = \"a\"\npath_map = {\"data\" = \"/x\"}", ["line 2", "'data'"]),
        ("[[hosts]]\nname = \"a\"\nenv = {A = true}", ["line 2", "env.A"]),
        ("[[hosts]]\nname = \"a\"\nenv = {A = [1]}", ["line 3", "a variable's value"]),
        ("[[hosts]]\nname = \"a\"\npools = {gpus = 1}", ["line 2", "setting of its own"]),
        ("[[hosts]]\nname = \"a\"\ntags = [\"x,y\"]", ["line 2", "'x,y'"]),
        ("[ssh]\ncommand = \" \"", ["line 2", "expected a command"]),
        ("[ssh]\ncommand = 7", ["line 2", "expected a command"]),
        ("[ssh]\nlost_after = 0", ["line 2", "lost at once"]),
        (
            "[ssh]\nport = 7",
            ["line 2", "expected one of `command`, `lost_after`, `cache_size`, `hosts`"],
        ),
        ("[node]\ntags = [\"x y\"]", ["node.tags", "'x y'"]),
    ] {
        let said = read(text).expect_err(text);
        for part in parts.into_iter().chain(["redirector.toml"]) {
            assert!(said.contains(part), "{text}: no '{part}' in: {said}");
        }
    }
}

#[test]
fn this_computer_is_no_host_of_its_own() {
    let said = read("[ssh]\nhosts = [\"a\", \"Here\"]").unwrap_err();
    for part in ["redirector.toml", "'here' is this computer", "redirector.here.toml", "enabled"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_key_is_found_however_it_is_written() {
    for text in
        ["[client]\nmode = \"dry-run\"\n", "client.mode=\"local\"", "[client]\n\"m\\u006fde\"=1"]
    {
        assert!(may_name(text.as_bytes(), "mode"), "{text}");
    }
    assert!(!may_name(b"[client]\non_failure = \"fail\"\n", "mode"));
    assert!(!may_name(b"", "mode"));
}
