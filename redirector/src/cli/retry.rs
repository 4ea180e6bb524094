//! `redirector retry`

use super::{
    Outcome,
    each::each,
    ids::{self, IdRange},
};
use crate::client::api::Action;

/// Run failed jobs once more, under the same numbers
///
/// For jobs of 'redirector submit' that have ended without success. Each gets a further
/// attempt with an output of its own; what it wrote before is kept ('redirector logs --attempt').
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let ids = ids::all(&arguments.ids)?;
    each(&ids, "queued once more:", "is not to be tried again", &async |client, id| {
        client.act(id, Action::Retry).await
    })
}
