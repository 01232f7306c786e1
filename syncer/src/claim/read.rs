//! Quorum reads of both sides.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tenet_mapper::keys::MANAGED_BY;
use tenet_mapper::{Side, kinds};

use super::age::Newest;
use super::decide::{Found, Inside, Seen};
use super::half::{Half, Wiring};
use crate::api::{Api, ApiError, Target, revision};
use crate::shared_read::SharedRead;

/// The API servers of both sides.
pub struct Servers {
    /// The virtual API server.
    pub virt: Api,
    /// The host API server.
    pub host: Api,
    /// Time limit of a request.
    pub limit: Duration,
}

/// Result of one read of a side.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Identity and half.
    pub seen: Seen,
    /// Resource version of the half; empty when there is none.
    pub version: String,
    /// Revision of the store at the read; 0 when the server does not send it.
    pub revision: u64,
    /// The newest state that was seen before the read began.
    pub(super) floor: Newest,
}

/// One read of each side.
#[derive(Clone)]
pub struct Pair {
    /// The host.
    pub host: Arc<Reading>,
    /// The virtual side.
    pub virt: Arc<Reading>,
}

/// Reason why a side could not be read.
#[derive(Clone, Debug)]
pub enum ReadError {
    /// No answer, or one that says nothing about the claim.
    Unreachable(Side, String),
    /// A right is missing.
    Refused(Side, String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(side, reason) => write!(f, "cannot read the claim on the {side} side: {reason}"),
            Self::Refused(side, reason) => write!(
                f,
                "cannot read the claim on the {side} side: {reason}; `tenet-syncer --print-role` prints the rights \
                 that the syncer needs"
            ),
        }
    }
}

impl Servers {
    /// The API server of a side.
    pub fn of(&self, side: Side) -> &Api {
        if side == Side::Host { &self.host } else { &self.virt }
    }

    /// Reads the identity and the half of a side.
    pub(super) async fn read(&self, wiring: &Wiring, side: Side, floor: Newest) -> Result<Reading, ReadError> {
        let (api, (namespace, name)) = (self.of(side), wiring.target(side));
        // A list has the revision of the store, too.
        let path = Target::new(kinds::CONFIG_MAP, namespace, &name).list_path();
        let anchor = wiring.anchor(side);
        let (anchor, list) = tokio::join!(api.get(&anchor, self.limit), api.get_path(&path, self.limit));
        let (anchor, list) = (anchor.map_err(|error| told(side, &error))?, list.map_err(|error| told(side, &error))?);
        let text = |object: &Value, path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let half = list.pointer("/items/0");
        Ok(Reading {
            seen: Seen {
                uid: anchor.as_ref().and_then(|namespace| text(namespace, "/metadata/uid")),
                deleting: anchor.is_some_and(|namespace| namespace.pointer("/metadata/deletionTimestamp").is_some()),
                half: match half.map(Half::read) {
                    None => Found::Missing,
                    Some(Ok(half)) => Found::There(half),
                    Some(Err(why)) => Found::Unreadable(why),
                },
            },
            version: half.and_then(|half| text(half, "/metadata/resourceVersion")).unwrap_or_default(),
            revision: revision(&list),
            floor,
        })
    }

    /// Reads what the virtual cluster contains.
    pub async fn inside(&self, wiring: &Wiring) -> Result<Inside, ReadError> {
        let list = async |path: &str| {
            let list = self.virt.get_path(path, self.limit).await.map_err(|error| told(Side::Virtual, &error))?;
            Ok(list["items"].as_array().cloned().unwrap_or_default())
        };
        let (nodes, pods) = tokio::try_join!(
            list("/api/v1/nodes?limit=500"),
            list("/api/v1/pods?fieldSelector=spec.nodeName%21%3D&limit=1"),
        )?;
        let is_ours = |node: &&Value| node["metadata"]["labels"][MANAGED_BY] == wiring.name.as_str();
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(Inside {
            picture: nodes.iter().find(is_ours).map(name),
            foreign_node: nodes.iter().find(|node| !is_ours(node)).map(name),
            placed_pod: pods
                .first()
                .map(|pod| format!("{}/{}", pod["metadata"]["namespace"].as_str().unwrap_or_default(), name(pod))),
        })
    }
}

fn told(side: Side, error: &ApiError) -> ReadError {
    let reason = error.to_string();
    match error.code() {
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => ReadError::Refused(side, reason),
        _ => ReadError::Unreachable(side, reason),
    }
}

/// Reads of one side.
pub type Reads = SharedRead<Answer>;

pub(super) type Answer = Result<Arc<Reading>, ReadError>;
