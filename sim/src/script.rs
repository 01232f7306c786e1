//! Scripts: everything that happens to a simulated world, as data.

mod directed;
mod fault;
mod generate;
mod rare;
mod shrink;

use std::fmt;

use serde_json::{Value, json};

pub use directed::directed;
pub use fault::{Fault, Moment, Planned, Scope, Wiring};
pub use generate::{SEEDS_OF_STORY, generate, story};
pub use shrink::shrink;
pub use tenet_mapper::Side;

/// One object of the tenant: kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The kind.
    pub kind: What,
    /// The virtual namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// Kinds that occur in scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A pod without a controller.
    Pod,
    /// A set of equal pods.
    ReplicaSet,
    /// A pod that runs to its end, and is replaced until it does.
    Job,
    /// Configuration.
    ConfigMap,
    /// Configuration that is secret.
    Secret,
    /// A stable address.
    Service,
    /// A claim for a volume.
    Claim,
    /// Addresses behind a Service without a selector, which has the same name.
    Slice,
}

/// Scheduling gate of pods, and the condition of their readiness gate.
pub const GATE: &str = "example.com/gate";

/// The pod of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodPlan {
    /// ConfigMap that it mounts.
    pub config_map: Option<String>,
    /// Secret that it mounts.
    pub secret: Option<String>,
    /// Claim that it mounts.
    pub claim: Option<String>,
    /// Milliseconds until it ends by itself; never when absent.
    pub runs: Option<u64>,
    /// Exit code when it ends by itself.
    pub exit: u64,
    /// Grace period in seconds.
    pub grace: u64,
    /// True if it gets a token of its ServiceAccount.
    pub has_token: bool,
    /// True if a scheduling gate holds it until `Act::Ungate`.
    pub is_gated: bool,
    /// True if it is ready only while `Act::Ready` says so.
    pub has_readiness_gate: bool,
}

/// Damage that a hostile writer does to a host object of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Other content or another label.
    Content,
    /// The label that marks it as ours is removed.
    Mark,
    /// The UID in its owner record is another one.
    Owner,
    /// Its owner record is removed, and its label stays.
    Record,
    /// Everything that marks it as ours is removed.
    Bare,
    /// It stays as it is, and another object gets a copy of all that marks it as ours, as a backup that is restored
    /// under another name has.
    Clone,
}

/// One act in a world.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// The tenant creates a namespace.
    Namespace(String),
    /// The tenant deletes a namespace.
    DropNamespace(String),
    /// The tenant creates a pod.
    Pod(Name, PodPlan),
    /// The tenant creates a ReplicaSet or a Job.
    Workload(Name, u64, PodPlan),
    /// The tenant changes the number of replicas.
    Scale(Name, u64),
    /// The tenant creates or changes a ConfigMap or Secret.
    Content(Name, u64),
    /// The tenant claims a volume.
    Claim(Name),
    /// The tenant creates a Service, or changes its port.
    Service(Name, u64),
    /// The tenant creates a Service whose address the webhook reserves on the host, or changes its port.
    Reserved(Name, u64),
    /// The tenant creates a Service without a selector, or changes its port.
    Selectorless(Name, u64),
    /// The tenant writes the addresses behind a Service without a selector.
    Slice(Name, u64),
    /// The tenant changes a label of a pod.
    Label(Name, u64),
    /// The tenant removes the scheduling gate of a pod.
    Ungate(Name),
    /// A controller of the tenant sets the condition that the readiness gate of a pod names.
    Ready(Name, bool),
    /// The tenant deletes an object; with a grace period if it is given.
    Delete(Name, Option<u64>),
    /// The host evicts the host pod of a pod.
    Evict(Name),
    /// Somebody deletes the copy of an object on the host.
    Remove(Name),
    /// Somebody has an object on the host under the name of a copy.
    Foreign(Name),
    /// The foreign object under the name of a copy is removed.
    DropForeign(Name),
    /// A hostile writer damages the copy of an object.
    Damage(Name, Damage),
    /// A component of the host tells an event about the host pod of a pod.
    Tell(Name),
    /// The host allows so many pods in its namespace; any number when absent.
    Quota(Option<u64>),
    /// A node of the host fails.
    NodeDown(usize),
    /// A node of the host comes back.
    NodeUp(usize),
}

/// An act at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Milliseconds after the start.
    pub at: u64,
    /// The act.
    pub act: Act,
}

/// Everything that happens to a world.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Seed of delays, UIDs and names.
    pub seed: u64,
    /// True if the host's admission changes pods: labels, a sidecar, tolerations.
    pub mutates: bool,
    /// True if two replicas of the syncer run, of which one has the lease.
    pub has_lease: bool,
    /// Acts, in order of time.
    pub steps: Vec<Step>,
    /// Faults, in order of time.
    pub faults: Vec<Planned>,
}

impl What {
    /// The kind.
    pub fn kind(self) -> tenet_mapper::Kind {
        use tenet_mapper::{Kind, kinds};
        match self {
            Self::Pod => kinds::POD,
            Self::ReplicaSet => Kind::of("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Job => Kind::of("batch", "v1", "Job", "jobs"),
            Self::ConfigMap => kinds::CONFIG_MAP,
            Self::Secret => kinds::SECRET,
            Self::Service => kinds::SERVICE,
            Self::Claim => kinds::PERSISTENT_VOLUME_CLAIM,
            Self::Slice => kinds::ENDPOINT_SLICE,
        }
    }
}

impl Name {
    /// An object of the tenant.
    pub fn new(kind: What, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl PodPlan {
    /// Returns the spec of the pod.
    pub fn spec(&self) -> Value {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        if let Some(name) = &self.config_map {
            volumes.push(json!({"name": "config", "configMap": {"name": name}}));
            mounts.push(json!({"name": "config", "mountPath": "/config"}));
        }
        if let Some(name) = &self.secret {
            volumes.push(json!({"name": "secret", "secret": {"secretName": name}}));
            mounts.push(json!({"name": "secret", "mountPath": "/secret"}));
        }
        if let Some(name) = &self.claim {
            volumes.push(json!({"name": "data", "persistentVolumeClaim": {"claimName": name}}));
            mounts.push(json!({"name": "data", "mountPath": "/data"}));
        }
        let args: Vec<_> = self.runs.map(|millis| [millis.to_string(), self.exit.to_string()]).into_iter().collect();
        let args: Vec<_> = args.into_iter().flatten().collect();
        let container = json!({"name": "main", "image": "example.com/app:1", "args": args, "volumeMounts": mounts});
        let mut spec = json!({
            "containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": self.grace,
            "restartPolicy": if self.runs.is_some() { "Never" } else { "Always" },
            "automountServiceAccountToken": self.has_token,
        });
        if self.is_gated {
            spec["schedulingGates"] = json!([{"name": GATE}]);
        }
        if self.has_readiness_gate {
            spec["readinessGates"] = json!([{"conditionType": GATE}]);
        }
        spec
    }
}

impl Act {
    /// The object of the tenant that the act is about.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Pod(name, _)
            | Self::Workload(name, ..)
            | Self::Scale(name, _)
            | Self::Content(name, _)
            | Self::Claim(name)
            | Self::Service(name, _)
            | Self::Reserved(name, _)
            | Self::Selectorless(name, _)
            | Self::Slice(name, _)
            | Self::Label(name, _)
            | Self::Ungate(name)
            | Self::Ready(name, _)
            | Self::Delete(name, _)
            | Self::Evict(name)
            | Self::Remove(name)
            | Self::Foreign(name)
            | Self::DropForeign(name)
            | Self::Tell(name)
            | Self::Damage(name, _) => Some(name),
            Self::Namespace(_) | Self::DropNamespace(_) | Self::Quota(_) | Self::NodeDown(_) | Self::NodeUp(_) => None,
        }
    }

    /// Returns true if the tenant acts.
    pub fn is_of_tenant(&self) -> bool {
        !matches!(
            self,
            Self::Evict(_)
                | Self::Remove(_)
                | Self::Foreign(_)
                | Self::DropForeign(_)
                | Self::Damage(..)
                | Self::Tell(_)
                | Self::Quota(_)
                | Self::NodeDown(_)
                | Self::NodeUp(_)
        )
    }
}

impl Script {
    /// A script in which nothing happens.
    pub fn new(seed: u64) -> Self {
        Self { seed, mutates: false, has_lease: false, steps: Vec::new(), faults: Vec::new() }
    }

    /// Runs two replicas of the syncer with a lease.
    #[must_use]
    pub fn with_lease(self) -> Self {
        Self { has_lease: true, ..self }
    }

    /// Adds an act at a time in milliseconds.
    #[must_use]
    pub fn act(mut self, at: u64, act: Act) -> Self {
        self.steps.push(Step { at, act });
        self.steps.sort_by_key(|step| step.at);
        self
    }

    /// Adds a pod of the tenant that runs until it is deleted.
    #[must_use]
    pub fn pod(self, at: u64, namespace: &str, name: &str) -> Self {
        self.act(at, Act::Pod(Name::new(What::Pod, namespace, name), PodPlan { grace: 5, ..PodPlan::default() }))
    }

    /// Adds a fault at a time, for a time, in milliseconds.
    #[must_use]
    pub fn fault(mut self, at: u64, length: u64, fault: Fault) -> Self {
        let seed = self.seed ^ self.faults.len() as u64;
        self.faults.push(Planned { at, length, seed, fault });
        self.faults.sort_by_key(|planned| planned.at);
        self
    }

    /// The script without its faults.
    #[must_use]
    pub fn undisturbed(&self) -> Self {
        Self { faults: Vec::new(), ..self.clone() }
    }

    /// Returns true if the script has a fault of a kind.
    pub fn has(&self, is_it: impl Fn(&Fault) -> bool) -> bool {
        self.faults.iter().any(|planned| is_it(&planned.fault))
    }

    /// Returns true for one of eight seeds: it runs all mappers, and rests as long as the backoff of a rejection
    /// although both sides agree before.
    pub fn is_deep(&self) -> bool {
        self.seed.is_multiple_of(8)
    }

    /// Returns true if a kind occurs whose mapper only a complete syncer runs.
    pub fn needs_every_mapper(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.act, Act::Claim(_) | Act::Slice(..) | Act::Tell(_)))
    }

    /// Returns true if a person has to decide how it goes on: a store went back or was replaced, so that the syncer
    /// stops.
    pub fn needs_person(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Rewind(..) | Fault::Replace(_)))
    }

    /// The time after which nothing is left to happen.
    pub fn end(&self) -> u64 {
        let steps = self.steps.iter().map(|step| step.at);
        let faults = self.faults.iter().map(|planned| planned.at + planned.length);
        steps.chain(faults).max().unwrap_or(0)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} mutates {} lease {}", self.seed, self.mutates, self.has_lease)?;
        let steps = self.steps.iter().map(|step| (step.at, format!("{:?}", step.act)));
        let faults =
            self.faults.iter().map(|planned| (planned.at, format!("{:?} for {} ms", planned.fault, planned.length)));
        let mut lines: Vec<_> = steps.chain(faults).collect();
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            writeln!(f, "  {at:>6} ms  {line}")?;
        }
        Ok(())
    }
}
