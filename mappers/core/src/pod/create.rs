//! The host pod of a virtual one, as it is created.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tenet_mapper::crossed::SOURCE;
use tenet_mapper::rules::{Reference, Refusal, Table};
use tenet_mapper::translate::dns::{DnsInput, dns};
use tenet_mapper::translate::env::{env_from_keys, prepend_service_env, service_env};
use tenet_mapper::translate::names::hostname;
use tenet_mapper::translate::selectors::{Scope, SelectorError, pod_affinity, spread_constraint};
use tenet_mapper::{Context, Dependency, HostKey, Kind, MapError, Object, VirtualKey, kinds};

use super::fields::Fields;
use super::security::{self, put};
use super::{Settings, containers, tokens};

/// What a host pod is made of, and what the tenant should know about it.
pub struct Made {
    /// The host pod.
    pub pod: Value,
    /// What is not quite as the tenant may expect.
    pub remarks: Vec<&'static str>,
}

/// Makes the whole host pod, ephemeral containers included.
pub async fn host_pod(cx: &Context<'_>, table: &Table, key: &VirtualKey, virt: &Object) -> Result<Made, MapError> {
    let settings = Settings::read(cx)?;
    let mut pod = cx.draft(kinds::POD, table, virt)?;
    let mut refusals = security::cross(virt.value(), &mut pod, &cx.facts().policy);
    refusals.extend(priority(virt, &mut pod, &settings));
    selectors(cx, virt, &mut pod, &mut refusals);
    if !refusals.is_empty() {
        return Err(MapError::Refused(refusals));
    }
    let fields = Fields::of(cx, virt)?;
    fields.put(&mut pod);
    for (annotation, value) in &fields.annotations {
        pod["metadata"]["annotations"][annotation] = json!(value);
    }
    tokens::turn_sources(virt, &mut pod, &tokens::secret_key(cx, key))?;
    environment(cx, virt, &mut pod).await?;
    identity(virt, &mut pod, &settings);
    let remarks = names(cx, virt, &mut pod, &settings);
    Ok(Made { pod, remarks })
}

/// Who the pod is on the host: nobody.
fn identity(virt: &Object, pod: &mut Value, settings: &Settings) {
    let spec = &mut pod["spec"];
    spec["serviceAccountName"] = json!(settings.pods.service_account);
    spec["automountServiceAccountToken"] = json!(false);
    spec["enableServiceLinks"] = json!(false);
    let own = virt.str_at("/spec/hostname").map(str::to_owned);
    // A pod on the network of its node is called as the node is.
    if virt.at("/spec/hostNetwork") != Some(&json!(true)) {
        spec["hostname"] = json!(own.unwrap_or_else(|| hostname(virt.name())));
    }
}

/// Only listed classes may be used; the host computes the number.
fn priority(virt: &Object, pod: &mut Value, settings: &Settings) -> Option<Refusal> {
    let class = virt.str_at("/spec/priorityClassName");
    if let Some(class) = class {
        if !settings.pods.priority_classes.iter().any(|allowed| allowed == class) {
            let why = format!("{class} is not in pods.priorityClasses");
            return Some(Refusal { field: "spec.priorityClassName".to_owned(), why });
        }
        pod["spec"]["priorityClassName"] = json!(class);
    }
    let preemption = virt.str_at("/spec/preemptionPolicy");
    (class.is_none() && preemption == Some("Never")).then(|| Refusal {
        field: "spec.preemptionPolicy".to_owned(),
        why: "comes with a priority class only".to_owned(),
    })
}

/// Selectors see the pods of the virtual cluster only.
fn selectors(cx: &Context<'_>, virt: &Object, pod: &mut Value, refusals: &mut Vec<Refusal>) {
    let scope = Scope { vc: &cx.facts().names.cluster, namespace: virt.namespace() };
    let labels = virt.at("/metadata/labels");
    let mut cross = |place: String, pointer: &str, result: Result<Value, SelectorError>| match result {
        Ok(value) => put(pod, pointer, value),
        Err(error) => refusals.push(Refusal { field: place, why: error.to_string() }),
    };
    for field in ["podAffinity", "podAntiAffinity"] {
        let pointer = format!("/spec/affinity/{field}");
        if let Some(affinity) = virt.at(&pointer) {
            cross(format!("spec.affinity.{field}"), &pointer, pod_affinity(affinity, labels, scope));
        }
    }
    let constraints = virt.list_at("/spec/topologySpreadConstraints");
    if constraints.is_empty() {
        return;
    }
    let crossed: Result<Vec<_>, _> = constraints.iter().map(|one| spread_constraint(one, labels, scope)).collect();
    let pointer = "/spec/topologySpreadConstraints";
    cross("spec.topologySpreadConstraints".to_owned(), pointer, crossed.map(Value::Array));
}

/// Names are resolved as in the virtual cluster.
fn names(cx: &Context<'_>, virt: &Object, pod: &mut Value, settings: &Settings) -> Vec<&'static str> {
    let service = &settings.dns.service;
    let service = cx.virt(kinds::SERVICE, &service.key());
    let nameserver = service.as_ref().and_then(|service| service.str_at("/spec/clusterIP")).filter(|ip| *ip != "None");
    let answer = dns(&DnsInput {
        policy: virt.str_at("/spec/dnsPolicy"),
        host_network: virt.at("/spec/hostNetwork") == Some(&json!(true)),
        namespace: virt.namespace(),
        cluster_domain: &settings.dns.cluster_domain,
        nameserver: nameserver.or(settings.dns.address.as_deref()),
        dns_config: virt.at("/spec/dnsConfig"),
    });
    pod["spec"]["dnsPolicy"] = json!(answer.policy);
    if let Some(config) = answer.config {
        pod["spec"]["dnsConfig"] = config;
    }
    let mut remarks = Vec::new();
    if answer.cut {
        remarks.push("spec.dnsConfig: has more nameservers or searches than a pod can use; the last are left out");
    }
    remarks
}

/// The variables of the virtual Services, the `kubernetes` one leading to the virtual API server.
async fn environment(cx: &Context<'_>, virt: &Object, pod: &mut Value) -> Result<(), MapError> {
    let links = virt.at("/spec/enableServiceLinks") != Some(&json!(false));
    let kubernetes = front_door(cx)?;
    let is_kubernetes = |service: &Object| service.namespace() == "default" && service.name() == "kubernetes";
    let own = if links { cx.list(kinds::SERVICE, virt.namespace()) } else { Vec::new() };
    let services = own.iter().filter(|service| !is_kubernetes(service)).map(Object::value);
    let env = service_env(virt.namespace(), services.chain([&kubernetes]), links);
    let mut data = BTreeMap::new();
    for (list, index) in containers(virt.value()) {
        let place = format!("/spec/{list}/{index}");
        let hidden = from_sources(cx, virt, &format!("{place}/envFrom"), &mut data).await?;
        let pointer = format!("{place}/env");
        let own = pod.pointer(&pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        put(pod, &pointer, Value::Array(prepend_service_env(&own, &hidden, &env)));
    }
    Ok(())
}

/// The names that the `envFrom` of a container brings.
async fn from_sources(
    cx: &Context<'_>,
    virt: &Object,
    pointer: &str,
    data: &mut BTreeMap<(Kind, String), Vec<String>>,
) -> Result<BTreeSet<String>, MapError> {
    let mut names = BTreeSet::new();
    for source in virt.list_at(pointer) {
        for (kind, reference) in [(kinds::CONFIG_MAP, "configMapRef"), (kinds::SECRET, "secretRef")] {
            let Some(name) = source[reference]["name"].as_str() else { continue };
            let known = (kind, name.to_owned());
            if !data.contains_key(&known) {
                let object = cx.fetch(kind, &VirtualKey::new(virt.namespace(), name)).await?;
                let keys = object.as_ref().and_then(|object| object.at("/data")).and_then(Value::as_object);
                data.insert(known.clone(), keys.into_iter().flat_map(|keys| keys.keys().cloned()).collect());
            }
            let keys = data.get(&known).into_iter().flatten().map(String::as_str);
            names.extend(env_from_keys(source, keys));
        }
    }
    Ok(names)
}

/// The `kubernetes` Service as a host pod has to see it: the host Service that leads to the virtual
/// API server.
fn front_door(cx: &Context<'_>) -> Result<Value, MapError> {
    let settings: VirtualSection = cx.section("virtual")?;
    let key = HostKey::new(cx.facts().names.host_namespace.as_str(), settings.service.as_str());
    let front =
        cx.host(kinds::SERVICE, &key).or_else(|| cx.virt(kinds::SERVICE, &VirtualKey::new("default", "kubernetes")));
    let Some(front) = front.filter(|front| front.str_at("/spec/clusterIP").is_some_and(|ip| ip != "None")) else {
        return Err(MapError::not_ready(Dependency::host(kinds::SERVICE, &key)));
    };
    let ports = front.list_at("/spec/ports");
    let port =
        ports.iter().find(|port| port["name"] == "https").or(ports.first()).map_or(json!(443), |p| p["port"].clone());
    Ok(json!({
        "metadata": {"namespace": "default", "name": "kubernetes"},
        "spec": {"clusterIP": front.at("/spec/clusterIP"), "ports": [{"name": "https", "port": port, "protocol": "TCP"}]},
    }))
}

#[derive(Deserialize)]
struct VirtualSection {
    service: String,
}

/// A `ConfigMap` or Secret that exists and whose copy is not on the host yet, as it is now: a pod
/// must not start with an older one. One that does not exist holds nothing back; the kubelet waits
/// for it, unless it is optional.
pub fn missing_copy(cx: &Context<'_>, virt: &Object, references: &BTreeSet<Reference>) -> Option<Dependency> {
    references.iter().find_map(|reference| {
        let kind = [kinds::CONFIG_MAP, kinds::SECRET].into_iter().find(|kind| kind.kind == reference.kind)?;
        let key = VirtualKey::new(virt.namespace(), reference.name.as_str());
        let original = cx.virt(kind, &key).filter(|original| !original.is_deleting())?;
        let place = cx.host_key(kind, &key);
        let made_from = format!("{}/{}/", original.uid(), original.resource_version());
        let copy = cx.host(kind, &place);
        let is_current =
            copy.is_some_and(|copy| copy.annotation(SOURCE).is_some_and(|source| source.starts_with(&made_from)));
        (!is_current).then(|| Dependency::host(kind, &place))
    })
}
