//! Which graphics processors jobs may use.
//!
//! What the environment of the gateway says goes first, because a site that shares a computer
//! says it there (Slurm does), and it stays in force for jobs: they get names out of that list.

use serde::{Deserialize, Serialize};

use super::computer::Computer;

/// Whose libraries use the devices, and so which variables choose among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// CUDA.
    #[default]
    Nvidia,
    /// `ROCm`.
    Amd,
}

/// The graphics processors of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpus {
    /// Whose they are.
    pub vendor: Vendor,
    /// What each is called in `CUDA_VISIBLE_DEVICES` or `ROCR_VISIBLE_DEVICES`: an index, a
    /// UUID or a MIG instance. The place in this list is the index that the dispatcher gives.
    pub names: Vec<String>,
    /// For people.
    pub origin: String,
}

impl Gpus {
    /// As many as a person says; without as many names, they are called by index.
    pub(super) fn set_count(&mut self, count: u32, origin: &str) {
        if self.names.len() < count as usize {
            self.names = indices(count as usize);
        }
        self.names.truncate(count as usize);
        origin.clone_into(&mut self.origin);
    }
}

/// The devices that the environment names, else those that the system shows.
pub(super) fn detect(computer: &Computer) -> Gpus {
    nvidia_by_environment(computer)
        .or_else(|| amd_by_environment(computer))
        .or_else(|| nvidia_devices(computer))
        .or_else(|| amd_devices(computer))
        .unwrap_or_default()
}

fn nvidia_by_environment(computer: &Computer) -> Option<Gpus> {
    let found = |names, origin: &str| {
        Some(Gpus { vendor: Vendor::Nvidia, names, origin: origin.to_owned() })
    };
    if let Some(list) = computer.variable("CUDA_VISIBLE_DEVICES") {
        return found(visible(&list), "CUDA_VISIBLE_DEVICES");
    }
    let origin = "NVIDIA_VISIBLE_DEVICES";
    let list = computer.variable(origin)?;
    match list.as_str() {
        // Images say so whether the computer has any or not.
        "all" => None,
        "" | "none" | "void" => found(Vec::new(), origin),
        // Inside the container that was made with this list, CUDA counts from 0 again.
        _ if list.starts_with(|first: char| first.is_ascii_digit()) => {
            found(indices(visible(&list).len()), origin)
        }
        _ => found(visible(&list), origin),
    }
}

/// `HIP_VISIBLE_DEVICES` chooses among those that `ROCR_VISIBLE_DEVICES` leaves.
fn amd_by_environment(computer: &Computer) -> Option<Gpus> {
    let outer = computer.variable("ROCR_VISIBLE_DEVICES").map(|list| visible(&list));
    let inner = computer.variable("HIP_VISIBLE_DEVICES").map(|list| visible(&list));
    let (names, origin) = match (outer, inner) {
        (None, None) => return None,
        (Some(outer), None) => (outer, "ROCR_VISIBLE_DEVICES"),
        (None, Some(inner)) => (inner, "HIP_VISIBLE_DEVICES"),
        (Some(outer), Some(inner)) => {
            let chosen = inner.iter().filter_map(|index| outer.get(index.parse::<usize>().ok()?));
            (chosen.cloned().collect(), "HIP_VISIBLE_DEVICES within ROCR_VISIBLE_DEVICES")
        }
    };
    Some(Gpus { vendor: Vendor::Amd, names, origin: origin.to_owned() })
}

/// The devices that a list makes visible. As its readers do, it is taken to end at the first
/// name that is none: `-1` hides what follows it.
fn visible(list: &str) -> Vec<String> {
    let is_name = |name: &&str| {
        let is_index = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        is_index || name.starts_with("GPU-") || name.starts_with("MIG-")
    };
    let mut names: Vec<String> = Vec::new();
    for name in list.split(',').map(str::trim).take_while(is_name) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn indices(count: usize) -> Vec<String> {
    (0..count).map(|index| index.to_string()).collect()
}

/// The driver's device files; where they are not made yet, what the driver lists.
fn nvidia_devices(computer: &Computer) -> Option<Gpus> {
    let files = numbered(computer, "/dev", "nvidia");
    let (count, origin) = if files.is_empty() {
        let listed = computer.names_in("/proc/driver/nvidia/gpus").len();
        (listed, "/proc/driver/nvidia/gpus".to_owned())
    } else {
        (files.len(), files_of("/dev/nvidia", &files))
    };
    (count > 0).then(|| Gpus { vendor: Vendor::Nvidia, names: indices(count), origin })
}

/// Render nodes are every vendor's, and also those of displays; only with the compute driver
/// `kfd` are there devices for jobs, as many as it lists with an id.
fn amd_devices(computer: &Computer) -> Option<Gpus> {
    const NODES: &str = "/sys/class/kfd/kfd/topology/nodes";
    let files = numbered(computer, "/dev/dri", "renderD");
    let has_id = |node: &String| {
        let id = computer.read(format!("{NODES}/{node}/gpu_id"));
        id.is_some_and(|id| !matches!(id.trim(), "" | "0"))
    };
    let listed = computer.names_in(NODES).iter().filter(|node| has_id(node)).count();
    let count = listed.min(files.len());
    let origin = format!("/sys/class/kfd and {}", files_of("/dev/dri/renderD", &files));
    (count > 0).then(|| Gpus { vendor: Vendor::Amd, names: indices(count), origin })
}

/// The numbers behind `prefix` of the files in `directory`, in order.
fn numbered(computer: &Computer, directory: &str, prefix: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = computer
        .names_in(directory)
        .iter()
        .filter_map(|name| name.strip_prefix(prefix)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// `/dev/nvidia0`, or `/dev/nvidia0…3`.
fn files_of(prefix: &str, numbers: &[u32]) -> String {
    match numbers {
        [first, .., last] => format!("{prefix}{first}…{last}"),
        [only] => format!("{prefix}{only}"),
        [] => prefix.to_owned(),
    }
}
