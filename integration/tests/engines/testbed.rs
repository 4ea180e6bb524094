//! What these tests run on leaves nothing behind.

use std::fs;

use integration::EngineLab;

/// Processes in a network that only one lab has.
fn processes_in(network: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let networks =
        processes.filter_map(|process| fs::read_link(process.path().join("ns/net")).ok());
    networks.filter(|found| found.to_str() == Some(network)).count()
}

#[test]
fn all_of_it_ends_with_the_test() {
    let slurm = EngineLab::slurm(1, &[]);
    let grid_engine = EngineLab::grid_engine(1);
    for lab in [slurm, grid_engine].into_iter().flatten() {
        let network = lab.client("readlink", &["/proc/self/ns/net"]).text().trim().to_owned();
        assert!(processes_in(&network) > 0, "its daemons");
        drop(lab);
        assert_eq!(processes_in(&network), 0, "left of it");
    }
}
