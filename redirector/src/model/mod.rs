//! The words everything else uses: job, spec, resources, state, outcome.

mod engine_options;
mod id;
mod job;
mod pipeline_name;
mod pool;
mod pool_list;
mod resources;
mod retries;
pub mod secret;
mod spec;
mod state;
mod text;
mod usage;

pub use engine_options::EngineOptions;
pub use id::{JobId, NodeName};
pub(crate) use job::CLOCK_OFFSET;
pub use job::{Attempt, Given, Job, Timestamp};
pub use pipeline_name::pipeline_name;
pub use pool::{InvalidPoolName, Pool, PoolName};
pub use pool_list::{PoolChoice, PoolList};
pub use resources::{Amount, Resources};
pub use retries::{Cause, Retries};
pub use spec::{Condition, Dependency, Element, Kind, Placement, Rule, Spec};
pub use state::{Outcome, State};
pub use text::{Text, file_name, shell_line};
pub use usage::Usage;
