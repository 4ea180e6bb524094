//! `redirector nodes`

mod add;
mod listing;

use super::{Outcome, SUCCESS, output, with_gateway};
use crate::{config::parse_node_name, model::NodeName, protocol::Reloaded};

/// Show the nodes that jobs run on, and change which there are
///
/// Other computers are named in redirector.toml ('[[hosts]]' or 'ssh.hosts'), in the variable
/// `REDIRECTOR_HOSTS`, or with 'nodes add'. Without a subcommand, the nodes are listed.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show each node, its state, and how much of it jobs hold
    List(List),
    Add(Box<add::Arguments>),
    /// Start no more jobs on a node; those that run there go on
    Drain(Node),
    /// Undo that
    Resume(Node),
    /// Take a host out: it is none any more until it is added again or the gateway starts anew
    Remove {
        #[command(flatten)]
        node: Node,
        /// Also while jobs run there: they are ended, and tried elsewhere if their retries say so
        #[arg(long)]
        force: bool,
    },
    /// Read the hosts of the configuration again; what was added by hand and is not there goes
    Reload {
        /// A JSON object with the changes
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct List {
    /// A JSON array of objects
    #[arg(long)]
    json: bool,
    /// A row for each resource, with what says how much there is
    #[arg(long, conflicts_with = "json")]
    pools: bool,
}

#[derive(clap::Args)]
struct Node {
    /// Its name, as 'redirector nodes' has it
    #[arg(value_parser = parse_node_name)]
    node: NodeName,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    match &arguments.action {
        None => list(&arguments.list),
        Some(Action::List(arguments)) => list(arguments),
        Some(Action::Add(arguments)) => add::main(arguments),
        Some(Action::Drain(Node { node })) => {
            with_gateway(async |client| client.drain_node(node).await)?;
            Ok(SUCCESS)
        }
        Some(Action::Resume(Node { node })) => {
            with_gateway(async |client| client.resume_node(node).await)?;
            Ok(SUCCESS)
        }
        Some(Action::Remove { node: Node { node }, force }) => {
            with_gateway(async |client| client.remove_node(node, *force).await)?;
            Ok(SUCCESS)
        }
        Some(Action::Reload { json }) => reload(*json),
    }
}

fn list(arguments: &List) -> Outcome {
    let nodes = with_gateway(async |client| client.nodes().await)?;
    if arguments.json {
        output::json(&nodes)?;
    } else if arguments.pools {
        output::text(&listing::pools(&nodes))?;
    } else {
        output::text(&listing::nodes(&nodes))?;
    }
    Ok(SUCCESS)
}

fn reload(json: bool) -> Outcome {
    let reloaded = with_gateway(async |client| client.reload_nodes().await)?;
    if json {
        output::json(&reloaded)?;
        return Ok(SUCCESS);
    }
    let Reloaded { changes } = reloaded;
    if changes.is_empty() {
        println!("nothing has changed");
    }
    for change in changes {
        println!("{change}");
    }
    Ok(SUCCESS)
}
