//! What `sinfo` says of partitions.

/// Partition, whether it is up, time limit, nodes, cpus and MB of each, and in which state they are.
pub(super) const FORMAT: &str = "%R|%a|%l|%D|%c|%m|%t";

/// A line for the person of each group of nodes that are alike, in the partitions `only`, which are
/// separated by commas as for sbatch.
pub(super) fn read(text: &str, only: Option<&str>) -> Vec<String> {
    text.lines().filter_map(|text| line(text, only)).collect()
}

fn line(line: &str, only: Option<&str>) -> Option<String> {
    let fields: Vec<_> = line.split('|').map(str::trim).collect();
    let [partition, is_up, limit, nodes, cpus, megabytes, state] = fields[..] else { return None };
    if only.is_some_and(|only| only.split(',').all(|wanted| wanted.trim() != partition)) {
        return None;
    }
    let limit = match limit {
        "infinite" => "without a time limit".to_owned(),
        limit => format!("for {limit} at most"),
    };
    Some(format!(
        "partition {partition} ({is_up}): {nodes} {state} nodes of {cpus} cpus and {megabytes} MB, {limit}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_nodes_have_a_line_each() {
        let text =
            "main|up|infinite|2|8|8192|idle\nshort|up|1:00:00|1|4+|4096|down*\n\nwhat is this\n";
        let main = "partition main (up): 2 idle nodes of 8 cpus and 8192 MB, without a time limit";
        let short =
            "partition short (up): 1 down* nodes of 4+ cpus and 4096 MB, for 1:00:00 at most";
        assert_eq!(read(text, None), [main, short]);
        assert_eq!(read(text, Some("long,short")), [short]);
    }
}
