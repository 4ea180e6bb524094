//! HTTP/1.1 over the gateway's Unix socket, for its owner only.

use std::{pin::pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::DefaultBodyLimit,
    routing::{delete, get, post},
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc::UnboundedSender, watch},
    task::JoinSet,
};
use tower::ServiceExt;

use super::{
    api, attach, lease, logs,
    message::{Failure, Message},
    nodes, run_log,
    service::{Peer, Service},
};
use crate::{
    growing::Watches,
    place::StateDirectory,
    protocol::{LEASE_PATH, LOG_PATH},
};

/// Largest body of a request that is no lease, in bytes.
const LARGEST_BODY: usize = 64 << 20;

/// All routes.
pub(super) fn router(core: UnboundedSender<Message>, state: StateDirectory) -> Router {
    let service = Service { core, state, watches: Watches::default() };
    if run_log::echo::is_wanted() {
        tokio::spawn(run_log::echo::echo(service.clone()));
    }
    Router::new()
        .route(LEASE_PATH, post(lease::lease))
        .route("/v1/status", get(api::status))
        .route("/v1/stop", post(api::stop))
        .route("/v1/jobs", get(api::jobs).post(api::submit))
        .route("/v1/jobs/ended", get(api::ended_between))
        .route("/v1/jobs/{id}", get(api::job))
        .route("/v1/jobs/{id}/attach", post(attach::attach))
        .route("/v1/jobs/{id}/cancel", post(api::cancel))
        .route("/v1/jobs/{id}/output", get(logs::output))
        .route("/v1/jobs/{id}/hold", post(api::hold))
        .route("/v1/jobs/{id}/release", post(api::release))
        .route("/v1/jobs/{id}/retry", post(api::retry))
        .route("/v1/jobs/{id}/explain", get(api::explain))
        .route("/v1/nodes", get(nodes::list).post(nodes::add))
        .route("/v1/nodes/reload", post(nodes::reload))
        .route("/v1/nodes/{name}", delete(nodes::remove))
        .route("/v1/nodes/{name}/drain", post(nodes::drain))
        .route("/v1/nodes/{name}/resume", post(nodes::resume))
        .route("/v1/purge", post(api::purge))
        .route("/v1/runs/{id}/progress", get(api::progress))
        .route("/v1/runs/{id}/log", get(run_log::log))
        .route(LOG_PATH, post(api::log))
        .fallback(|| async { Failure::new(404, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Failure::new(405, "this path does not take this method")
        })
        // A submission may bring a hundred thousand elements with it.
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(service)
}

/// Accepts connections until `leaving` turns true, and returns when those that are
/// open have had their answers. `connections` has one more holder for each.
pub(super) async fn serve(
    listener: UnixListener,
    router: Router,
    connections: Arc<()>,
    leaving: watch::Receiver<bool>,
) {
    let owner = nix::unistd::getuid().as_raw();
    let mut open = JoinSet::new();
    let mut told_to_leave = pin!(self::told_to_leave(leaving.clone()));
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?, stream))) {
                Ok((peer, stream)) if peer.uid() == owner || peer.uid() == 0 => {
                    let peer = Peer { pid: peer.pid().unwrap_or_default() };
                    let connections = Arc::clone(&connections);
                    open.spawn(connection(stream, peer, router.clone(), connections, leaving.clone()));
                }
                Ok((peer, _)) => tracing::warn!(uid = peer.uid(), "refused a connection by another user"),
                Err(error) => {
                    // Out of descriptors, most likely: some connection must end first.
                    tracing::error!("cannot accept a connection: {error}");
                    open.join_next().await;
                }
            },
            Some(_) = open.join_next() => {}
            () = &mut told_to_leave => break,
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn connection(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    _open: Arc<()>,
    leaving: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(served.with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told_to_leave(leaving) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients end their lease by closing the connection.
        tracing::debug!(pid = peer.pid, "connection ended: {error}");
    }
}

/// Returns when the gateway leaves.
async fn told_to_leave(mut leaving: watch::Receiver<bool>) {
    // An error means that nobody is left to say it.
    drop(leaving.wait_for(|leaving| *leaving).await);
}
