//! `/v1/nodes`: which computers run jobs.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;

use super::{
    message::{Failure, Message},
    service::Service,
};
use crate::{
    config::{Config, Host},
    model::NodeName,
    protocol::{NodeStatus, Reloaded},
};

pub(super) async fn list(State(service): State<Service>) -> Result<Json<Vec<NodeStatus>>, Failure> {
    service.ask(|reply| Message::Nodes { reply }).await.map(Json)
}

pub(super) async fn add(
    State(service): State<Service>,
    Json(host): Json<Host>,
) -> Result<Json<()>, Failure> {
    // Its address becomes a word of ssh's command line.
    host.check().map_err(|error| Failure::new(400, format!("{}: {error}", host.name)))?;
    let host = Box::new(host);
    service.ask(|reply| Message::AddNode { host, reply }).await?.map(Json)
}

pub(super) async fn drain(
    State(service): State<Service>,
    Path(node): Path<String>,
) -> Result<Json<()>, Failure> {
    let node = NodeName(node);
    service.ask(|reply| Message::DrainNode { node, drain: true, reply }).await?.map(Json)
}

pub(super) async fn resume(
    State(service): State<Service>,
    Path(node): Path<String>,
) -> Result<Json<()>, Failure> {
    let node = NodeName(node);
    service.ask(|reply| Message::DrainNode { node, drain: false, reply }).await?.map(Json)
}

#[derive(Default, Deserialize)]
pub(super) struct Removal {
    /// Although jobs run there.
    #[serde(default)]
    force: bool,
}

pub(super) async fn remove(
    State(service): State<Service>,
    Path(node): Path<String>,
    Query(Removal { force }): Query<Removal>,
) -> Result<Json<()>, Failure> {
    let node = NodeName(node);
    service.ask(|reply| Message::RemoveNode { node, force, reply }).await?.map(Json)
}

pub(super) async fn reload(State(service): State<Service>) -> Result<Json<Reloaded>, Failure> {
    let read = tokio::task::spawn_blocking(Config::load).await;
    let config = read.map_err(|error| Failure::new(500, error.to_string()))?;
    let Config { hosts, ssh, .. } = config.map_err(|error| Failure::new(400, error.to_string()))?;
    let changes = service.ask(|reply| Message::ReloadNodes { hosts, ssh, reply }).await?;
    Ok(Json(Reloaded { changes }))
}
