//! Variables that tell a command what it was given.
//!
//! ```text
//! gateway, with the grant     CUDA_VISIBLE_DEVICES=2,5        the devices, and no other
//! client or submission        OMP_NUM_THREADS=4 …             if cpus were asked for by name
//! ```
//!
//! Devices are set in any case: two jobs on one device ruin each other, so that the gateway's
//! word goes over what the pipeline had set. Numbers of threads are a default for programs that
//! would start as many as the computer has cpus, and are never set over a value that is there.

use super::{Gpus, Vendor};
use crate::model::{Amount, Text};

/// What libraries read that start as many threads as there are cpus: `OpenMP`, the BLAS
/// libraries, numexpr, polars, rayon.
pub const THREAD_VARIABLES: [&str; 6] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
];

/// Those of [`THREAD_VARIABLES`] that are not set yet, for a command that was granted `cpus`:
/// whole ones, at least 1.
///
/// For commands only that asked for cpus by name, and not for those under which further jobs
/// start: these would inherit the numbers of another job.
pub fn threads(cpus: Amount, is_set: impl Fn(&str) -> bool) -> Vec<(Text, Text)> {
    let count = (cpus.0 / Amount::ONE.0).max(1).to_string();
    THREAD_VARIABLES
        .into_iter()
        .filter(|name| !is_set(name))
        .map(|name| (Text::from(name), Text::from(&*count)))
        .collect()
}

/// Those that choose the devices `indices` out of `gpus`, for a command; none are chosen for a
/// command that asked for none. Nothing on a node without any.
///
/// Not for whole pipelines, which hold nothing and whose own commands run as if nothing were
/// there; and for a command under which further jobs start only if it has devices.
pub fn devices(gpus: &Gpus, indices: &[u32]) -> Vec<(Text, Text)> {
    if gpus.names.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = indices
        .iter()
        .filter_map(|index| gpus.names.get(*index as usize))
        .map(|name| &**name)
        .collect();
    let set = |name: &str, value: String| (Text::from(name), Text::from(&*value));
    let names_list = names.join(",");
    match gpus.vendor {
        Vendor::Nvidia => vec![set("CUDA_VISIBLE_DEVICES", names_list)],
        // HIP reads its own variable, else CUDA's, and counts among those that ROCR's leaves.
        Vendor::Amd => {
            let counted: Vec<String> = (0..names.len()).map(|place| place.to_string()).collect();
            // An empty list hides nothing from HIP.
            let inner = if counted.is_empty() { "-1".to_owned() } else { counted.join(",") };
            vec![
                set("ROCR_VISIBLE_DEVICES", names_list),
                set("HIP_VISIBLE_DEVICES", inner.clone()),
                set("CUDA_VISIBLE_DEVICES", inner),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(vendor: Vendor, names: &[&str]) -> Gpus {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Gpus { vendor, names, origin: String::new() }
    }

    fn lines(variables: &[(Text, Text)]) -> Vec<String> {
        let line = |(name, value): &(Text, Text)| {
            format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
        };
        variables.iter().map(line).collect()
    }

    #[test]
    fn devices_are_called_as_the_node_knows_them() {
        let node = gpus(Vendor::Nvidia, &["2", "5", "GPU-aa"]);
        assert_eq!(lines(&devices(&node, &[0])), ["CUDA_VISIBLE_DEVICES=2"]);
        assert_eq!(lines(&devices(&node, &[1, 2])), ["CUDA_VISIBLE_DEVICES=5,GPU-aa"]);
        assert_eq!(lines(&devices(&node, &[])), ["CUDA_VISIBLE_DEVICES="]);
        assert!(devices(&gpus(Vendor::Nvidia, &[]), &[]).is_empty());
    }

    #[test]
    fn the_inner_choice_of_amd_counts_within_the_outer_one() {
        let node = gpus(Vendor::Amd, &["4", "5"]);
        assert_eq!(
            lines(&devices(&node, &[1])),
            ["ROCR_VISIBLE_DEVICES=5", "HIP_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=0"]
        );
        assert_eq!(
            lines(&devices(&node, &[])),
            ["ROCR_VISIBLE_DEVICES=", "HIP_VISIBLE_DEVICES=-1", "CUDA_VISIBLE_DEVICES=-1"]
        );
    }

    #[test]
    fn threads_are_whole_and_never_set_over_a_value() {
        let set = threads(Amount(35_000), |name| name == "OMP_NUM_THREADS");
        assert_eq!(set.len(), THREAD_VARIABLES.len() - 1);
        assert!(lines(&set).contains(&"MKL_NUM_THREADS=3".to_owned()));
        assert!(!lines(&set).iter().any(|line| line.starts_with("OMP")));
        let part = threads(Amount(2_500), |_| false);
        assert!(lines(&part).contains(&"OMP_NUM_THREADS=1".to_owned()));
    }
}
