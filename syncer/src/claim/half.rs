//! A half of the claim, as it is stored: a ConfigMap on each side.

use serde_json::{Value, json};
use tenet_mapper::keys::CLAIM;
use tenet_mapper::translate::{NameScheme, own_objects};
use tenet_mapper::{Side, kinds};

use crate::api::Target;

/// Epoch of a claim that was just made.
pub const FIRST_EPOCH: u64 = 1;

/// The wiring of a syncer: the values of its configuration that a claim holds it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// Name of the virtual cluster.
    pub name: String,
    /// Host namespace.
    pub namespace: String,
    /// Naming scheme of the host objects.
    pub scheme: NameScheme,
}

/// The UIDs of the two namespaces that a claim ties together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// UID of the host namespace.
    pub host: String,
    /// UID of the virtual `kube-system` namespace.
    pub virt: String,
}

/// Progress of a change of the claim. The host half is the first and the last to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The host half was written; the virtual half may not have been.
    Pending,
    /// Both halves were written.
    Bound,
}

/// A half of the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// Name of the virtual cluster.
    pub name: String,
    /// Name of the host namespace.
    pub namespace: String,
    /// Both UIDs.
    pub identity: Identity,
    /// Naming scheme of the host objects, with its version.
    pub scheme: String,
    /// Progress of the last change; only that of the host half has a meaning.
    pub progress: Progress,
    /// Counts the periods with writes. Both halves hold the same number, except while it is raised.
    pub epoch: u64,
}

impl Wiring {
    /// Returns namespace and name of a half.
    pub fn target(&self, side: Side) -> (&str, String) {
        match side {
            Side::Host => (&self.namespace, own_objects::host_claim(&self.name)),
            Side::Virtual => (own_objects::CLAIM_NAMESPACE, own_objects::VIRTUAL_CLAIM.to_owned()),
        }
    }

    /// Returns the namespace whose UID identifies a side.
    pub fn anchor(&self, side: Side) -> Target<'_> {
        Target::new(kinds::NAMESPACE, "", self.target(side).0)
    }

    /// Returns the half that this wiring needs.
    pub fn half(&self, identity: Identity, epoch: u64, progress: Progress) -> Half {
        Half {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            identity,
            scheme: self.scheme.version().to_owned(),
            progress,
            epoch,
        }
    }
}

impl Half {
    /// Reads a half from its ConfigMap. The error names the field that is wrong.
    pub fn read(stored: &Value) -> Result<Self, String> {
        let field = |name: &str| {
            let text = stored.get("data").and_then(|data| data.get(name)).and_then(Value::as_str);
            text.map(str::to_owned).ok_or_else(|| format!("data.{name} is missing"))
        };
        let format = field("format")?;
        if format != "1" {
            return Err(format!("data.format is {format:?}, and this version of the syncer reads 1"));
        }
        let epoch = field("epoch")?;
        Ok(Self {
            name: field("name")?,
            namespace: field("hostNamespace")?,
            identity: Identity { host: field("hostNamespaceUID")?, virt: field("virtualClusterUID")? },
            scheme: field("names")?,
            progress: match field("state")?.as_str() {
                "pending" => Progress::Pending,
                "bound" => Progress::Bound,
                other => return Err(format!("data.state is {other:?}: expected pending or bound")),
            },
            epoch: epoch.parse().map_err(|_| format!("data.epoch is {epoch:?}: expected a number"))?,
        })
    }

    /// Returns the data of the ConfigMap.
    pub fn data(&self) -> Value {
        json!({
            "format": "1",
            "name": self.name,
            "hostNamespace": self.namespace,
            "hostNamespaceUID": self.identity.host,
            "virtualClusterUID": self.identity.virt,
            "names": self.scheme,
            "state": self.progress.as_str(),
            "epoch": self.epoch.to_string(),
        })
    }

    /// Returns the ConfigMap of a side. It does not carry the label of copies, so no informer takes it for one.
    pub fn object(&self, side: Side, wiring: &Wiring) -> Value {
        let (namespace, name) = wiring.target(side);
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "namespace": namespace, "name": name,
                "labels": {CLAIM: wiring.name, "app.kubernetes.io/managed-by": "tenet"},
            },
            "data": self.data(),
        })
    }
}

impl Progress {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Bound => "bound",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_read_as_it_was_written_and_damage_is_named() {
        let wiring = Wiring { name: "vc-1".into(), namespace: "team-a".into(), scheme: NameScheme::Tenet };
        let identity = Identity { host: "h".into(), virt: "v".into() };
        let half = wiring.half(identity, 7, Progress::Pending);
        let mut stored = half.object(Side::Host, &wiring);
        assert_eq!(Half::read(&stored), Ok(half));
        assert_eq!(stored["metadata"]["name"], "tenet-claim-vc-1");
        assert_eq!(stored["metadata"]["labels"].get(tenet_mapper::keys::MANAGED_BY), None, "it is no copy");
        stored["data"]["epoch"] = json!("many");
        assert_eq!(Half::read(&stored).unwrap_err(), "data.epoch is \"many\": expected a number");
        stored["data"]["format"] = json!("2");
        assert!(Half::read(&stored).unwrap_err().starts_with("data.format is \"2\""));
        assert_eq!(Half::read(&json!({})).unwrap_err(), "data.format is missing");
    }
}
