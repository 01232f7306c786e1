//! Registrations of the sockets at the virtual API server.
//!
//! Two syncers of one virtual cluster may have different addresses or versions, and so want different registrations.
//! The one that started later decides, as long as its socket answers; so they write a registration once, not in turns.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tenet_mapper::keys::REGISTERED_BY;
use tenet_mapper::{Kind, MapError, Side, patch};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::limiter::Class;
use super::{Done, Gate, errors};
use crate::api::{PatchType, Target};
use crate::runtime::Runtime;

/// Time in which the socket of another syncer must accept a connection.
const ANSWER: Duration = Duration::from_secs(1);

/// Function that reads the address of the socket from a registration.
pub type SocketOf = fn(&Value) -> Option<SocketAddr>;

/// Returns a text for the start of a syncer: the later one is the greater, and a random number tells those of one
/// millisecond apart.
pub(super) fn start_of(runtime: &dyn Runtime) -> String {
    let millis = runtime.now().unix_timestamp_nanos() / 1_000_000;
    format!("{millis:014}-{:06}", (runtime.random() * 1e6).round())
}

impl Gate {
    /// Keeps a cluster-scoped object of the virtual API server equal to `desired`: of the
    /// metadata only the labels, of the rest every field in `desired`. The sockets register as soon as the API server
    /// is back, which may be another one, so the claim is verified first.
    pub async fn register(&self, kind: Kind, desired: &Value, socket_of: SocketOf) -> Result<Done, MapError> {
        let name = desired.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let namespace = desired.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let (target, class) = (Target::new(kind, namespace, name), Class::Kind(kind.group_kind()));
        let Some(found) = self.read(Side::Virtual, &target).await? else {
            self.parts.claim.verify(Side::Virtual).await?;
            let mut desired = desired.clone();
            desired["metadata"]["annotations"][REGISTERED_BY] = json!(self.started);
            let created =
                self.send(Side::Virtual, class, "create", |api, limit| api.create(&target, &desired, limit)).await;
            return match created {
                Ok(_) => Ok(Done::Wrote),
                Err(error) => Err(errors::classify(error)),
            };
        };
        let mut change = json!({});
        for (member, wanted) in desired.as_object().into_iter().flatten() {
            let wanted = if member == "metadata" { &json!({"labels": wanted["labels"]}) } else { wanted };
            if !covers(&found[member], wanted) {
                change[member] = wanted.clone();
            }
        }
        if change == json!({}) {
            return Ok(Done::Unchanged);
        }
        if self.age_of(&found) == Ordering::Greater && answers(socket_of(&found)).await {
            tracing::debug!(%kind, name, "another syncer that started later is registered");
            return Ok(Done::Unchanged);
        }
        self.parts.claim.verify(Side::Virtual).await?;
        change["metadata"]["annotations"][REGISTERED_BY] = json!(self.started);
        change["metadata"]["uid"] = found["metadata"]["uid"].clone();
        change["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
        self.call(Side::Virtual, class, "patch", |api, limit| api.patch(&target, PatchType::Merge, &change, limit))
            .await?;
        Ok(Done::Wrote)
    }

    /// Deletes a registration of this syncer, or one whose socket does not answer.
    pub async fn unregister(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        socket_of: SocketOf,
    ) -> Result<Done, MapError> {
        let (target, class) = (Target::new(kind, namespace, name), Class::Kind(kind.group_kind()));
        let Some(found) = self.read(Side::Virtual, &target).await? else { return Ok(Done::Unchanged) };
        if self.age_of(&found) != Ordering::Equal && answers(socket_of(&found)).await {
            return Ok(Done::Unchanged);
        }
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": found["metadata"]["uid"]},
        });
        match self.send(Side::Virtual, class, "delete", |api, limit| api.delete(&target, &options, limit)).await {
            Ok(_) => Ok(Done::Wrote),
            Err(error) if error.code() == Some(StatusCode::NOT_FOUND) => Ok(Done::Unchanged),
            Err(error) => Err(errors::classify(error)),
        }
    }

    /// Compares the syncer that wrote a registration with this one: `Greater` for one that started later.
    fn age_of(&self, found: &Value) -> Ordering {
        found["metadata"]["annotations"][REGISTERED_BY].as_str().unwrap_or_default().cmp(&self.started)
    }
}

/// Returns true if something accepts connections there.
async fn answers(socket: Option<SocketAddr>) -> bool {
    let Some(socket) = socket else { return false };
    matches!(timeout(ANSWER, TcpStream::connect(socket)).await, Ok(Ok(_)))
}

/// Returns true if `found` contains all of `wanted`; fields that the server adds are ignored.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| covers(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| covers(found, wanted))
        }
        _ => patch::same(found, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::Rig;

    const KIND: Kind = Kind::of("example.com", "v1", "Hook", "hooks").cluster_scoped();
    const PLACE: &str = "/apis/example.com/v1/hooks/tenet";

    fn hook(port: u16, by: &str) -> Value {
        json!({
            "metadata": {
                "name": "tenet", "uid": "u", "resourceVersion": "5", "labels": {"app": "t"},
                "annotations": {REGISTERED_BY: by},
            },
            "port": port,
        })
    }

    fn socket_of(hook: &Value) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], u16::try_from(hook["port"].as_u64()?).ok()?)))
    }

    /// Registers port 1 over a hook, and answers with the methods of the requests.
    async fn registered(found: Value) -> Vec<String> {
        let rig = Rig::new(vec![], vec![("GET", PLACE, 200, found), ("PATCH", PLACE, 200, json!({}))]);
        let desired = json!({"metadata": {"name": "tenet", "labels": {"app": "t"}}, "port": 1});
        rig.engine.gate.register(KIND, &desired, socket_of).await.unwrap();
        rig.asked(Side::Virtual).iter().map(|asked| asked[..3].to_owned()).collect()
    }

    #[tokio::test]
    async fn of_two_syncers_the_later_one_registers_as_long_as_it_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap().port();
        let (earlier, later) = ("00000000000001-000000", "99999999999999-000000");
        assert_eq!(registered(hook(1, later)).await, ["GET"], "it is as it should be");
        assert_eq!(registered(hook(alive, later)).await, ["GET"]);
        assert_eq!(registered(hook(alive, earlier)).await, ["GET", "PAT"]);
        assert_eq!(registered(hook(alive, "")).await, ["GET", "PAT"]);
        drop(listener);
        assert_eq!(registered(hook(alive, later)).await, ["GET", "PAT"], "nothing answers there");
    }

    #[tokio::test]
    async fn the_registration_of_another_syncer_goes_only_when_nothing_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap().port();
        for (by, expected) in [("00000000000001-000000", 0), ("99999999999999-000000", 0)] {
            let gone = json!({"kind": "Status", "status": "Success"});
            let rig = Rig::new(vec![], vec![("GET", PLACE, 200, hook(alive, by)), ("DELETE", PLACE, 200, gone)]);
            rig.engine.gate.unregister(KIND, "", "tenet", socket_of).await.unwrap();
            let deletes = rig.asked(Side::Virtual).iter().filter(|asked| asked.starts_with("DELETE")).count();
            assert_eq!(deletes, expected, "{by}");
        }
        drop(listener);
        let gone = json!({"kind": "Status", "status": "Success"});
        let rig = Rig::new(vec![], vec![("GET", PLACE, 200, hook(alive, "0")), ("DELETE", PLACE, 200, gone)]);
        assert_eq!(rig.engine.gate.unregister(KIND, "", "tenet", socket_of).await.unwrap(), Done::Wrote);
    }

    #[test]
    fn what_the_server_adds_is_no_difference_and_everything_else_is() {
        let wanted = json!({"webhooks": [{"name": "a", "rules": [{"operations": ["CREATE"]}]}]});
        let mut found = json!({"webhooks": [{"name": "a", "rules": [{"operations": ["CREATE"], "scope": "*"}]}]});
        assert!(covers(&found, &wanted));
        found["webhooks"][0]["rules"][0]["operations"] = json!(["CREATE", "UPDATE"]);
        assert!(!covers(&found, &wanted));
        assert!(!covers(&json!({"webhooks": []}), &wanted));
    }
}
