//! Computers that are directories: what is found on each, and who is said to have said it.

use std::{collections::HashMap, fs};

use tempfile::TempDir;

use super::*;
use crate::config::{Config, Setting};

/// A computer with these files, variables and cpus.
struct Made {
    root: TempDir,
    variables: HashMap<String, String>,
    affinity: Vec<u32>,
}

fn made(files: &[(&str, &str)]) -> Made {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let file = root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    Made { root, variables: HashMap::new(), affinity: vec![0, 1, 2, 3] }
}

impl Made {
    fn with(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.variables = variables.iter().map(owned).collect();
        self
    }

    fn facts(&self, settings: &config::Node) -> Facts {
        let environment = |name: &str| self.variables.get(name).cloned();
        let computer = Computer {
            root: self.root.path(),
            environment: &environment,
            affinity: self.affinity.clone(),
        };
        Facts::of(&computer, settings)
    }

    fn found(&self) -> Facts {
        self.facts(&Config::default().node)
    }
}

/// `NAME AMOUNT ORIGIN` of each pool.
fn lines(facts: &Facts) -> Vec<String> {
    let line = |pool: &Pool| match pool.capacity {
        Capacity::Count(amount) => format!("{} {amount} {}", pool.name, pool.origin),
        Capacity::Bytes(bytes) => format!("{} {bytes} {}", pool.name, pool.origin),
    };
    facts.pools.iter().map(line).collect()
}

const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n");

#[test]
fn a_plain_computer_has_its_cpus_and_its_memory() {
    let facts = made(&[MEMINFO]).found();
    assert_eq!(lines(&facts), ["cpus 4 sched_getaffinity", "mem 1048576 /proc/meminfo"]);
    let resources = facts.resources();
    assert_eq!((resources.cpus, resources.mem), (Amount::whole(4), 1 << 20));
    assert_eq!((facts.max_jobs, facts.max_supervisors), (None, 4));
    let nothing = made(&[]).found();
    assert_eq!(lines(&nothing)[1], format!("mem {} not found out: taken as unlimited", u64::MAX));
}

#[test]
fn control_groups_of_version_2_limit_at_any_height() {
    let facts = made(&[
        MEMINFO,
        (
            "/proc/self/mountinfo",
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
        ),
        ("/proc/self/cgroup", "0::/user.slice/job\n"),
        ("/sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n"),
        ("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n"),
        ("/sys/fs/cgroup/user.slice/memory.max", "max\n"),
        ("/sys/fs/cgroup/user.slice/job/memory.max", "4096\n"),
    ])
    .found();
    assert_eq!(
        lines(&facts),
        [
            "cpus 2.5 cgroup cpu.max of /sys/fs/cgroup/user.slice",
            "mem 4096 cgroup memory.max of /sys/fs/cgroup/user.slice/job",
        ]
    );
}

#[test]
fn control_groups_of_version_1_have_a_tree_per_controller() {
    let files = [
        MEMINFO,
        (
            "/proc/self/mountinfo",
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        ),
        ("/proc/self/cgroup", "4:memory:/docker/abc/job\n1:cpu,cpuacct:/half\n0::/\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/half/cpu.cfs_quota_us", "50000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/half/cpu.cfs_period_us", "100000\n"),
        ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "8192\n"),
    ];
    assert_eq!(
        lines(&made(&files).found()),
        [
            // Less than one cpu would keep every job that asks for nothing from running.
            "cpus 1 cgroup cpu.cfs_quota_us of /sys/fs/cgroup/cpu,cpuacct/half",
            "mem 8192 cgroup memory.limit_in_bytes of /sys/fs/cgroup/memory/job",
        ]
    );
    let unlimited = made(&files[..files.len() - 1]).found();
    assert_eq!(lines(&unlimited)[1], "mem 1048576 /proc/meminfo");
}

#[test]
fn settings_go_over_what_is_found() {
    let computer = made(&[MEMINFO]).with(&[("CUDA_VISIBLE_DEVICES", "2,5")]);
    let mut settings = Config::default().node;
    settings.cpus.override_with(Some(Some(Amount::whole(9))), "REDIRECTOR_CPUS");
    settings.mem.override_with(Some(Some(7)), "/etc/redirector/redirector.toml");
    settings.pin.override_with(Some(false), "REDIRECTOR_PIN");
    settings.max_jobs.override_with(Some(Some(3)), "REDIRECTOR_MAX_JOBS");
    let licence = Setting { value: Amount::whole(2), origin: "REDIRECTOR_POOLS".to_owned() };
    settings.pools.insert(PoolName::new("licence").unwrap(), licence);
    let facts = computer.facts(&settings);
    assert_eq!(
        lines(&facts),
        [
            "cpus 9 REDIRECTOR_CPUS",
            "mem 7 /etc/redirector/redirector.toml",
            "gpus 2 CUDA_VISIBLE_DEVICES",
            "licence 2 REDIRECTOR_POOLS",
        ]
    );
    let others: Vec<_> = facts.resources().others.into_iter().collect();
    let name = |name| PoolName::new(name).unwrap();
    assert_eq!(others, [(name("gpus"), Amount::whole(2)), (name("licence"), Amount::whole(2))]);
    assert!(facts.cpu_ids.is_empty(), "not to be pinned");
    assert_eq!((facts.max_jobs, facts.max_supervisors), (Some(3), 9));

    for (count, names) in [(0, &[][..]), (1, &["2"]), (2, &["2", "5"]), (3, &["0", "1", "2"])] {
        settings.gpus.override_with(Some(Some(count)), "REDIRECTOR_GPUS");
        let facts = computer.facts(&settings);
        assert_eq!(facts.gpus.names, names);
        let pieces: Vec<_> = facts.indexed().into_values().collect();
        assert_eq!(pieces, if count > 0 { vec![count] } else { Vec::new() });
        let has_pool = facts.pools.iter().any(|pool| pool.name == "gpus");
        assert_eq!(has_pool, count > 0);
    }
}

#[test]
fn gpus_named_by_the_environment() {
    let device = ("/dev/nvidia0", "");
    let mig = "MIG-aaaa-bbbb";
    for (variables, names) in [
        (&[("CUDA_VISIBLE_DEVICES", "2,5")][..], &["2", "5"][..]),
        (&[("CUDA_VISIBLE_DEVICES", "")], &[]),
        (&[("CUDA_VISIBLE_DEVICES", "-1")], &[]),
        (&[("CUDA_VISIBLE_DEVICES", "NoDevFiles")], &[]),
        (&[("CUDA_VISIBLE_DEVICES", "1,-1,0")], &["1"]),
        (&[("CUDA_VISIBLE_DEVICES", "1, 1,0")], &["1", "0"]),
        (&[("CUDA_VISIBLE_DEVICES", "GPU-12ab,MIG-aaaa-bbbb")], &["GPU-12ab", mig]),
        (&[("NVIDIA_VISIBLE_DEVICES", "all")], &["0"]),
        (&[("NVIDIA_VISIBLE_DEVICES", "void")], &[]),
        (&[("NVIDIA_VISIBLE_DEVICES", "3,7")], &["0", "1"]),
        (&[("NVIDIA_VISIBLE_DEVICES", "GPU-12ab")], &["GPU-12ab"]),
        (&[("CUDA_VISIBLE_DEVICES", "1"), ("NVIDIA_VISIBLE_DEVICES", "2,3")], &["1"]),
        (&[], &["0"]),
    ] {
        let facts = made(&[device]).with(variables).found();
        assert_eq!(
            (facts.gpus.vendor, &facts.gpus.names[..]),
            (Vendor::Nvidia, &strings(names)[..]),
            "{variables:?}"
        );
    }
    for (variables, names) in [
        (&[("ROCR_VISIBLE_DEVICES", "4,5")][..], &["4", "5"][..]),
        (&[("HIP_VISIBLE_DEVICES", "1")], &["1"]),
        (&[("ROCR_VISIBLE_DEVICES", "4,5"), ("HIP_VISIBLE_DEVICES", "1,9")], &["5"]),
    ] {
        let facts = made(&[]).with(variables).found();
        assert_eq!(
            (facts.gpus.vendor, &facts.gpus.names[..]),
            (Vendor::Amd, &strings(names)[..]),
            "{variables:?}"
        );
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn gpus_shown_by_the_system() {
    let kfd = |node: &str, id| (format!("/sys/class/kfd/kfd/topology/nodes/{node}/gpu_id"), id);
    let (processor, device) = (kfd("0", "0\n"), kfd("1", "4711\n"));
    let (processor, device) = ((&*processor.0, processor.1), (&*device.0, device.1));
    let render = [("/dev/dri/renderD128", ""), ("/dev/dri/renderD129", "")];
    let by_driver = ("/proc/driver/nvidia/gpus/0000:01:00.0/information", "");
    for (files, count, origin) in [
        (
            &[("/dev/nvidia0", ""), ("/dev/nvidia1", ""), ("/dev/nvidiactl", "")][..],
            2,
            "/dev/nvidia0…1",
        ),
        (&[("/dev/nvidia3", ""), by_driver], 1, "/dev/nvidia3"),
        (&[by_driver], 1, "/proc/driver/nvidia/gpus"),
        (
            &[processor, device, render[0], render[1]],
            1,
            "/sys/class/kfd and /dev/dri/renderD128…129",
        ),
        (&render, 0, ""),
        (&[processor, device], 0, ""),
        (&[], 0, ""),
    ] {
        let facts = made(files).found();
        assert_eq!((facts.gpus.names.len(), &*facts.gpus.origin), (count, origin), "{files:?}");
    }
}

#[test]
fn cpus_of_one_core_stand_beside_each_other() {
    let topology = |cpu: u32, package: u32, core: u32| {
        let file = |name: &str| format!("/sys/devices/system/cpu/cpu{cpu}/topology/{name}");
        [(file("physical_package_id"), package.to_string()), (file("core_id"), core.to_string())]
    };
    let files =
        [topology(0, 0, 0), topology(1, 1, 0), topology(2, 0, 0), topology(3, 1, 0)].concat();
    let files: Vec<_> = files.iter().map(|(path, content)| (&**path, &**content)).collect();
    assert_eq!(made(&files).found().cpu_ids, [0, 2, 1, 3]);
}

/// The real thing: this process may run somewhere, and this computer has memory.
#[test]
fn this_computer_has_cpus_and_memory() {
    let facts = Facts::detect(&Config::default().node);
    assert!(facts.resources().cpus >= Amount::ONE);
    assert!((1 << 20..u64::MAX).contains(&facts.resources().mem), "{facts:?}");
    assert!(!facts.cpu_ids.is_empty());
}
