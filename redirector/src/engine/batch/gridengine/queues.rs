//! What `qstat -g c` says of cluster queues.

/// A line for the person of each queue.
pub(super) fn read(text: &str) -> Vec<String> {
    text.lines().filter_map(line).collect()
}

/// `NAME LOAD USED RESERVED AVAILABLE TOTAL …`, where the load may be `-NA-`.
fn line(line: &str) -> Option<String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [queue, _load, _used, _reserved, available, total, ..] = fields[..] else { return None };
    let (available, total): (u32, u32) = (available.parse().ok()?, total.parse().ok()?);
    Some(format!("queue {queue}: {available} of {total} slots are free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_have_a_line_each() {
        let text = "CLUSTER QUEUE                   CQLOAD   USED    RES  AVAIL  TOTAL aoACDS  cdsuE\n\
                    ----------------------------------------------------------------------------\n\
                    all.q                             -NA-      1      0      3      4      0      0\n";
        assert_eq!(read(text), ["queue all.q: 3 of 4 slots are free"]);
    }
}
