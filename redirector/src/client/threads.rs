//! Tells a command's libraries how many threads to start.

use crate::{agent::invocation::Invocation, model::Amount, node::variables};

/// The number that was set last. Where a variable has it, that was not the pipeline's doing but
/// that of a job around this one, which had other cpus.
const MARK: &str = "REDIRECTOR_THREADS";

/// Sets the variables of [`variables::threads`] that the pipeline has left unset.
pub(super) fn set(invocation: &mut Invocation, cpus: Amount) {
    let mark = invocation.variable(MARK.as_bytes()).map(<[u8]>::to_vec);
    let is_set = |name: &str| {
        let value = invocation.variable(name.as_bytes());
        value.is_some() && value != mark.as_deref()
    };
    let variables = variables::threads(cpus, is_set);
    let Some((_, number)) = variables.first().cloned() else { return };
    for (name, value) in &variables {
        invocation.set(name, value.as_bytes());
    }
    invocation.set(MARK, number.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    #[test]
    fn only_what_the_pipeline_said_is_left_alone() {
        let mut invocation = Invocation::new(CString::new("/bin/true").unwrap(), &[]);
        invocation.remove(b"OMP_NUM_THREADS");
        invocation.remove(MARK.as_bytes());
        invocation.set("MKL_NUM_THREADS", b"7");
        set(&mut invocation, Amount::whole(4));
        assert_eq!(invocation.variable(b"OMP_NUM_THREADS"), Some(&b"4"[..]));
        set(&mut invocation, Amount::whole(2));
        assert_eq!(invocation.variable(b"OMP_NUM_THREADS"), Some(&b"2"[..]), "of a job inside");
        assert_eq!(invocation.variable(b"MKL_NUM_THREADS"), Some(&b"7"[..]));
    }
}
