//! The dispatcher in virtual time: a million jobs on ten thousand nodes, and what a decision costs.
//!
//! ```sh
//! cargo bench -p redirector --bench simulation
//! ```
//!
//! With four numbers after `--` only one row of the table is measured, for a profiler to look at:
//! the length of the queue, the number of nodes, that of lists of candidates and that of decisions.
//!
//! First a whole cluster's life ([`cluster`]): it ends with a panic, and a status other than 0, if
//! anything is over-committed, starved, lost or run twice. Then a table ([`cost`]): decisions per
//! second and bytes per queued job, for queues and clusters of several sizes.

mod allocator;
mod clock;
mod cluster;
mod cost;
mod work;

fn main() {
    // As the gateway does; 'GLIBC_TUNABLES=' in the environment shows how it is without.
    redirector::huge_pages::use_here();
    // 'cargo test --benches' only wants to know whether this runs.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let row = std::env::args().filter_map(|argument| argument.parse().ok()).collect::<Vec<_>>();
    if let [queued, nodes, lists, decisions] = row[..] {
        cost::print_header();
        let mut row = cost::Measured::new(cost::Row { queued, nodes, lists });
        row.measure(decisions);
        row.print();
        return;
    }
    let (jobs, nodes) = if is_test { (20_000, 200) } else { (1_000_000, 10_000) };
    cluster::run(jobs, nodes);
    println!();
    cost::run(if is_test { &[1_000] } else { &[1_000, 10_000, 100_000, 1_000_000] });
}
