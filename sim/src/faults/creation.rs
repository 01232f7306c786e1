//! Comparison of a copy with what a creation from its original gives now, by the mappers themselves.
//!
//! A copy got where it is by many updates under faults. The mapper that is asked here sees the same two clusters
//! without the copy, so it creates it anew: in one step, from the last state of the original.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use tenet_mapper::rules::Defaults;
use tenet_mapper::testing::Clusters;
use tenet_mapper::translate::{NameScheme, Names};
use tenet_mapper::{Effect, Kind, Mapper, Side, kinds};
use tenet_playground::Playground;

use super::api::{call, list, text};

/// Kinds that the mappers of the compared kinds read.
const READ: [(Side, Kind); 11] = [
    (Side::Virtual, kinds::NAMESPACE),
    (Side::Virtual, kinds::NODE),
    (Side::Virtual, kinds::POD),
    (Side::Virtual, kinds::SERVICE),
    (Side::Virtual, kinds::CONFIG_MAP),
    (Side::Virtual, kinds::SECRET),
    (Side::Virtual, kinds::SERVICE_ACCOUNT),
    (Side::Host, kinds::POD),
    (Side::Host, kinds::SERVICE),
    (Side::Host, kinds::CONFIG_MAP),
    (Side::Host, kinds::SECRET),
];

/// Parts of which a copy has nothing beyond what a creation gives. Controllers of the host write annotations as well.
const WHOLE: [&str; 5] = ["/data", "/binaryData", "/metadata/labels", "/spec/selector", "/spec/ports"];

/// Both clusters at one moment, and what the mappers need besides.
pub(super) struct Creation {
    objects: Vec<(Side, Value)>,
    facts: Identity,
    mappers: Vec<(Box<dyn Mapper>, Defaults)>,
}

/// The two clusters as the syncer is configured for them.
struct Identity {
    host_namespace: String,
    host_namespace_uid: String,
    cluster_id: String,
}

impl Creation {
    /// Reads both clusters.
    pub(super) async fn read(playground: &Playground, compared: &[Kind]) -> Result<Self> {
        let (host, virt) = (playground.host_plane().client(), playground.virtual_plane().client());
        let mut objects = Vec::new();
        for (side, kind) in READ {
            let (client, namespace) = if side == Side::Host { (&host, playground.namespace()) } else { (&virt, "") };
            let listed = list(client, &kind.path(namespace)).await?;
            objects.extend(listed.iter().map(|object| (side, typed(kind, object))));
        }
        let uid = async |client: &Client, name: &str| {
            let namespace = call(client, Method::GET, &format!("/api/v1/namespaces/{name}"), &Value::Null).await?;
            anyhow::Ok(text(&namespace, "/metadata/uid").to_owned())
        };
        let facts = Identity {
            host_namespace: playground.namespace().to_owned(),
            host_namespace_uid: uid(&host, playground.namespace()).await?,
            cluster_id: uid(&virt, "kube-system").await?,
        };
        let mut mappers = Vec::new();
        for mapper in tenet_core_mappers::all() {
            if compared.contains(&mapper.spec().kind) {
                let defaults = learn(&virt, &*mapper).await?;
                mappers.push((mapper, defaults));
            }
        }
        Ok(Self { objects, facts, mappers })
    }

    /// Returns the first difference between a copy and what a creation from its original gives.
    pub(super) fn difference(&self, kind: Kind, original: &Value, copy: &Value) -> Option<String> {
        match self.desired(kind, original, copy) {
            Ok(desired) => first_difference(&desired, &typed(kind, copy)),
            Err(why) => Some(why),
        }
    }

    /// Returns what a creation gives, or the reason why there is none.
    fn desired(&self, kind: Kind, original: &Value, copy: &Value) -> Result<Value, String> {
        let found = self.mappers.iter().find(|(mapper, _)| mapper.spec().kind == kind);
        let (mapper, defaults) = found.ok_or_else(|| format!("there is no mapper of {kind}"))?;
        let (namespace, name) = (text(original, "/metadata/namespace"), text(original, "/metadata/name"));
        let mut clusters = self.without(copy, defaults).referenced(kind, namespace, name);
        let mut created = typed(kind, original);
        if kind == kinds::POD {
            unplaced(&mut created);
        }
        clusters.put(Side::Virtual, created);
        let outcome = clusters.reconcile(&**mapper, namespace, name);
        let outcome = outcome.map_err(|error| format!("a creation is refused: {error}"))?;
        let waits = outcome.wait.clone();
        let desired = outcome.into_effects().into_iter().find_map(|effect| match effect {
            Effect::ApplyHost(apply) if apply.kind == kind => Some(apply.desired),
            _ => None,
        });
        desired.ok_or_else(|| format!("a creation waits for {waits:?}"))
    }

    /// Returns both clusters without a copy.
    fn without(&self, copy: &Value, defaults: &Defaults) -> Clusters {
        let Identity { host_namespace, host_namespace_uid, cluster_id } = &self.facts;
        let mut clusters = Clusters::default().defaults(defaults.clone()).facts(|facts| {
            facts.names = Names::new("vc-1", host_namespace.as_str(), NameScheme::Tenet);
            facts.cluster_id.clone_from(cluster_id);
            facts.host_namespace_uid.clone_from(host_namespace_uid);
        });
        for (side, object) in &self.objects {
            if *side == Side::Virtual || object["metadata"]["uid"] != copy["metadata"]["uid"] {
                clusters.put(*side, object.clone());
            }
        }
        clusters
    }
}

/// Learns the defaults of a kind as the syncer does: of the virtual API server, which past the proxy has no faults.
async fn learn(client: &Client, mapper: &dyn Mapper) -> Result<Defaults> {
    let (mut defaults, kind) = (Defaults::default(), mapper.spec().kind);
    for sample in &mapper.spec().samples {
        let path = format!("{}?dryRun=All", kind.path("default"));
        let stored =
            call(client, Method::POST, &path, &typed(kind, sample)).await.with_context(|| format!("POST {path}"))?;
        defaults.learn(sample, &stored);
    }
    Ok(defaults)
}

/// Returns an object with its kind, which the items of a list lack.
fn typed(kind: Kind, object: &Value) -> Value {
    let mut object = object.clone();
    object["kind"] = json!(kind.kind);
    object["apiVersion"] = json!(kind.api_version());
    object
}

/// Makes a pod as it was before a scheduler and a kubelet had seen it.
fn unplaced(pod: &mut Value) {
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("status".to_owned(), json!({"phase": "Pending"}));
    }
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("nodeName");
    }
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        annotations.remove("tenet.sh/bound");
    }
}

/// Returns the first path at which a copy lacks what is desired, or has more where it must not.
fn first_difference(desired: &Value, copy: &Value) -> Option<String> {
    let beyond = |part: &&str| {
        let (wanted, found) = (members(desired.pointer(part)), members(copy.pointer(part)));
        found.difference(&wanted).next().map(|key| format!("{part}/{key} is left of an earlier state"))
    };
    lacking("", desired, copy).or_else(|| WHOLE.iter().find_map(beyond))
}

fn members(part: Option<&Value>) -> BTreeSet<String> {
    match part {
        Some(Value::Object(members)) => members.keys().cloned().collect(),
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => BTreeSet::new(),
    }
}

fn lacking(path: &str, desired: &Value, found: &Value) -> Option<String> {
    match (desired, found) {
        (Value::Object(desired), Value::Object(found)) => desired
            .iter()
            .find_map(|(key, value)| lacking(&format!("{path}/{key}"), value, found.get(key).unwrap_or(&Value::Null))),
        (Value::Array(desired), Value::Array(found)) if desired.len() <= found.len() => {
            let pairs = desired.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(index, (desired, found))| lacking(&format!("{path}/{index}"), desired, found))
        }
        // The API server stores no empty members.
        (Value::Object(desired), Value::Null) if desired.is_empty() => None,
        (Value::Array(desired), Value::Null) if desired.is_empty() => None,
        _ if desired == found => None,
        _ => Some(format!("{path} is {found}, and a creation gives {desired}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_may_have_what_the_host_fills_in_and_nothing_of_an_earlier_state() {
        let desired =
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"ports": [{"port": 80}], "type": "ClusterIP"}});
        let copy = |label: &str, port: u16, more: Value| {
            let mut copy = json!({"metadata": {"labels": {"a": label}},
                "spec": {"ports": [{"port": port, "protocol": "TCP"}], "type": "ClusterIP", "filled": 1}});
            json_patch::merge(&mut copy, &more);
            copy
        };
        assert_eq!(first_difference(&desired, &copy("1", 80, json!({}))), None);
        for (copy, path) in [
            (copy("2", 80, json!({})), "/metadata/labels/a"),
            (copy("1", 81, json!({})), "/spec/ports/0/port"),
            (copy("1", 80, json!({"spec": {"type": null}})), "/spec/type"),
            (copy("1", 80, json!({"metadata": {"labels": {"b": "2"}}})), "/metadata/labels/b"),
            (copy("1", 80, json!({"spec": {"ports": [{"port": 80}, {"port": 81}]}})), "/spec/ports/1"),
        ] {
            let found = first_difference(&desired, &copy).unwrap_or_default();
            assert!(found.starts_with(path), "{path}: {found}");
        }
    }

    #[test]
    fn the_mapper_of_the_kind_says_what_a_creation_gives() {
        let mapper =
            tenet_core_mappers::all().into_iter().find(|mapper| mapper.spec().kind == kinds::CONFIG_MAP).unwrap();
        let [host_namespace, host_namespace_uid, cluster_id] = ["team-a", "h", "c"].map(str::to_owned);
        let facts = Identity { host_namespace, host_namespace_uid, cluster_id };
        let creation = Creation { objects: Vec::new(), facts, mappers: vec![(mapper, Defaults::default())] };
        let original = json!({"metadata": {"namespace": "shop", "name": "page", "uid": "u", "resourceVersion": "7"},
            "data": {"a": "1"}});
        let kind = kinds::CONFIG_MAP;
        let copy = creation.desired(kind, &original, &json!({})).unwrap();
        assert_eq!(creation.difference(kind, &original, &copy), None);
        let mut late = copy.clone();
        late["data"]["a"] = json!("0");
        assert!(creation.difference(kind, &original, &late).is_some_and(|why| why.starts_with("/data/a")));
        let mut leftover = copy;
        leftover["data"]["b"] = json!("2");
        let why = creation.difference(kind, &original, &leftover);
        assert_eq!(why.as_deref(), Some("/data/b is left of an earlier state"));
    }
}
