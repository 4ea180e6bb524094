//! The batch engines, on the real daemons: what is started runs once, what becomes of it is told
//! as it is, and what cannot be had is refused in the engine's own words.
//!
//! Each file has one subject.

mod commands;
mod doctor;
mod grid_engine;
mod immediate;
mod login_node;
mod pool_lists;
mod pools;
mod pools_faults;
mod pools_meanwhile;
mod pools_under_strain;
mod refusals;
mod rendezvous;
mod slurm;
mod slurm_ends;
mod slurm_rest;
mod slurm_troubles;
mod support;
mod testbed;
mod truth;
