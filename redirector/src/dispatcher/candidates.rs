//! On which nodes a job may run, as its caller says it.

use std::sync::Arc;

use crate::model::NodeName;

/// The nodes that may run a job: those that have its program, its tags and its directory.
///
/// Jobs that may run on the same nodes best share one list: it is then looked up once.
///
/// ```
/// # use redirector::{dispatcher::Candidates, model::NodeName};
/// let [a, b] = ["a", "b"].map(|name| NodeName(name.to_owned()));
/// let both = Candidates::among([b.clone(), a.clone(), b]);
/// assert_eq!(both.names().len(), 2);
/// assert!(both.include(&a));
/// assert_eq!(Candidates::among([a.clone()]), Candidates::One(a));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Candidates {
    /// Every node, now and later.
    #[default]
    Any,
    /// This node alone, for instance because the job's files are there.
    One(NodeName),
    /// Each of these, in the order of their names. A name that no node has yet counts from when
    /// one joins that has it.
    Among(Arc<[NodeName]>),
}

impl Candidates {
    /// These nodes, in any order.
    pub fn among(nodes: impl IntoIterator<Item = NodeName>) -> Self {
        let mut nodes = nodes.into_iter().collect::<Vec<_>>();
        nodes.sort_unstable();
        nodes.dedup();
        match <[NodeName; 1]>::try_from(nodes) {
            Ok([node]) => Self::One(node),
            Err(nodes) => Self::Among(nodes.into()),
        }
    }

    /// The nodes that are named; none if every node will do.
    pub fn names(&self) -> &[NodeName] {
        match self {
            Self::Any => &[],
            Self::One(node) => std::slice::from_ref(node),
            Self::Among(nodes) => nodes,
        }
    }

    /// Whether that node is one of them.
    pub fn include(&self, node: &NodeName) -> bool {
        matches!(self, Self::Any) || self.names().contains(node)
    }
}
