//! Opens streams to pods, so that none ever reaches a pod that was not meant.
//!
//! 1. The pod is found, and the host is asked for the stream.
//! 2. When the host has agreed, it has to be the same pod still ([`Opened::confirmed`]); before
//!    that not a byte passes.
//!
//! With SPDY and for logs nothing happens in a pod before the first byte, so the host is asked at
//! once when the caches know the pod, while the virtual one is read to see that it is meant. The
//! command of a WebSocket runs as soon as the host has found a pod: there the host is asked when
//! both have been read, and meanwhile the name cannot come to mean another pod of ours.

use http::Response;
use hyper::body::Incoming;

use super::failure::Failure;
use super::place::{Place, Places};
use super::route::{Action, PodName};
use super::server::Node;
use super::streams::Open;
use super::upgrade::Upgrade;
use super::upstream::{Agreed, HostStream, Upstream, UpstreamError};
use tenet_syncer::CreateLock;

/// A stream that the host has agreed to, whose pod was not looked at again.
pub(super) struct Opened<S> {
    /// The stream.
    pub stream: S,
    /// Where it leads.
    pub place: Place,
    open: Open,
    _held: Option<CreateLock>,
}

impl<S> Opened<S> {
    /// The stream, if it leads to the pod that was found before.
    pub async fn confirmed(self, places: &Places) -> Result<(S, Open), Failure> {
        match places.confirm(&self.place).await {
            Ok(()) => Ok((self.stream, self.open)),
            Err(failure) => {
                self.open.ended("replaced", 0, 0);
                Err(failure)
            }
        }
    }
}

/// What the host is asked.
trait Ask: Sync {
    type Stream: Send;

    /// Whether something happens in the pod before the first byte.
    fn acts_at_once(&self) -> bool;

    fn ask(
        &self,
        upstream: &Upstream,
        stream: HostStream,
        path: &str,
    ) -> impl Future<Output = Result<Self::Stream, UpstreamError>> + Send;
}

impl Ask for Upgrade {
    type Stream = Agreed;

    fn acts_at_once(&self) -> bool {
        matches!(self, Self::WebSocket { .. })
    }

    async fn ask(&self, upstream: &Upstream, stream: HostStream, path: &str) -> Result<Agreed, UpstreamError> {
        upstream.upgrade(stream, path, self).await
    }
}

/// A log.
struct Read;

impl Ask for Read {
    type Stream = Response<Incoming>;

    fn acts_at_once(&self) -> bool {
        false
    }

    async fn ask(
        &self,
        upstream: &Upstream,
        stream: HostStream,
        path: &str,
    ) -> Result<Response<Incoming>, UpstreamError> {
        upstream.get(stream, path).await
    }
}

impl Node {
    /// A stream both ways.
    pub(super) async fn open(
        &self,
        pod: &PodName,
        action: &Action,
        upgrade: &Upgrade,
    ) -> Result<Opened<Agreed>, Failure> {
        if self.kubelet.closing.is_cancelled() {
            return Err(Failure::stopping());
        }
        self.reach(pod, action, upgrade).await
    }

    /// A log that the host has begun to send.
    pub(super) async fn open_log(&self, pod: &PodName, action: &Action) -> Result<Opened<Response<Incoming>>, Failure> {
        self.reach(pod, action, &Read).await
    }

    async fn reach<A: Ask>(&self, pod: &PodName, action: &Action, ask: &A) -> Result<Opened<A::Stream>, Failure> {
        let kubelet = &self.kubelet;
        if ask.acts_at_once() {
            let held = kubelet.places.hold(pod);
            return Ok(Opened { _held: Some(held), ..self.reach_in_order(pod, action, ask).await? });
        }
        let Some(expected) = kubelet.places.expect(&self.name, pod, action.container()) else {
            return self.reach_in_order(pod, action, ask).await;
        };
        let open = kubelet.streams.open(&expected, action.name())?;
        let meant = kubelet.places.is_meant(&expected, &self.name, action.container());
        let asked = async { Ok(self.ask(kubelet.upstream.connect().await, &expected, action, ask).await) };
        let (is_meant, stream) = tokio::try_join!(meant, asked)?;
        if !is_meant {
            drop((stream, open));
            return self.reach_in_order(pod, action, ask).await;
        }
        Ok(Opened { stream: stream?, place: expected, open, _held: None })
    }

    /// Connects while the pod is looked for, and asks when it is found.
    async fn reach_in_order<A: Ask>(
        &self,
        pod: &PodName,
        action: &Action,
        ask: &A,
    ) -> Result<Opened<A::Stream>, Failure> {
        let find = self.kubelet.places.find(&self.name, pod, action.container());
        let (place, connection) = tokio::join!(find, self.kubelet.upstream.connect());
        let place = place?;
        let open = self.kubelet.streams.open(&place, action.name())?;
        let stream = self.ask(connection, &place, action, ask).await?;
        Ok(Opened { stream, place, open, _held: None })
    }

    async fn ask<A: Ask>(
        &self,
        connection: Result<HostStream, UpstreamError>,
        place: &Place,
        action: &Action,
        ask: &A,
    ) -> Result<A::Stream, Failure> {
        let stream = async { ask.ask(&self.kubelet.upstream, connection?, &path_of(place, action)).await };
        stream.await.map_err(|error| Failure::upstream(error, place, right_of(action)))
    }
}

fn path_of(place: &Place, action: &Action) -> String {
    let (namespace, name) = (place.host.namespace(), place.host.name());
    format!("/api/v1/namespaces/{namespace}/pods/{name}/{}", action.subresource())
}

fn right_of(action: &Action) -> &'static str {
    match action {
        Action::Exec { .. } | Action::Run { .. } => "create pods/exec",
        Action::Attach { .. } => "create pods/attach",
        Action::PortForward { .. } => "create pods/portforward",
        Action::Logs { .. } => "get pods/log",
    }
}
