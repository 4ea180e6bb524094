//! `redirector release`

use super::{
    Outcome,
    each::each,
    ids::{self, IdRange},
};
use crate::client::api::Action;

/// Let held jobs go
///
/// They take the place in the queue that their number gives them.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let ids = ids::all(&arguments.ids)?;
    each(&ids, "released", "is not held", &async |client, id| client.act(id, Action::Release).await)
}
