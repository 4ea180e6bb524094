//! `redirector hold`

use super::{
    Outcome,
    each::each,
    ids::{self, IdRange},
};
use crate::client::api::Action;

/// Keep jobs from starting until they are released
///
/// Only jobs that have not started can be held; 'redirector cancel' ends one that runs.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let ids = ids::all(&arguments.ids)?;
    each(&ids, "held", "is held already", &async |client, id| client.act(id, Action::Hold).await)
}
