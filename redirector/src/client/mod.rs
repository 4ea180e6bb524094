//! The side that a tool meets.
//!
//! [`exec`] stands in for an intercepted command: [`submission`] says what is asked,
//! [`link`] keeps the connection to the gateway through [`wire`] and its [`chunked`]
//! answers, [`start_gateway`] makes sure that there is one. Everything that is not
//! in the path of a command goes through [`api`].

pub mod api;
pub mod chunked;
pub mod exec;
mod link;
pub mod run;
mod settings;
pub mod start_gateway;
pub mod submission;
pub mod wire;
