//! Scripts: everything that happens to a simulated world, as data.

mod directed;
mod generate;
mod shrink;

use std::fmt;

use serde_json::{Value, json};

pub use directed::directed;
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
}

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
    /// The tenant changes a label of a pod.
    Label(Name, u64),
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

/// Moment at which a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After that many polls of its tasks.
    Poll(u64),
    /// Before the n-th write is applied.
    BeforeWrite(u64),
    /// After the n-th write was applied, and before its answer.
    AfterWrite(u64),
    /// Before the n-th request of any kind.
    Request(u64),
}

/// Mistake in the configuration of a second syncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Another namespace of the host.
    Namespace,
    /// Host and virtual cluster are swapped.
    Swapped,
    /// Another name of the virtual cluster.
    Name,
}

/// Requests that a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Writes.
    Writes,
    /// Reads of single objects.
    Reads,
    /// Lists.
    Lists,
    /// Starts of watches.
    Watches,
}

/// A kind of fault with its parameters. `share` is the percentage of requests that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The syncer is killed, and starts again after the length of the fault.
    Crash(Moment),
    /// The syncer is told to stop, and starts again after the length of the fault.
    Stop,
    /// Answers with an error.
    Status {
        /// The side.
        side: Side,
        /// Requests.
        scope: Scope,
        /// The HTTP status.
        code: u16,
        /// Seconds that the server asks to wait; 0 for none.
        retry_after: u32,
        /// Percentage of requests.
        share: u64,
    },
    /// Requests are lost: the connection is reset before they arrive.
    Drop(Side, u64),
    /// Answers are lost: the connection is reset after the request was applied.
    LostAnswer(Side, u64),
    /// Requests hang, and never arrive.
    Hang(Side, u64),
    /// Answers hang: the request was applied.
    HangAnswer(Side, u64),
    /// Answers come up to so many milliseconds late: watches may tell of later changes before.
    LateAnswer(Side, u64, u64),
    /// Requests arrive twice.
    Twice(Side, u64),
    /// Requests take up to so many milliseconds to arrive, and arrive after the client has given up too.
    Late(Side, u64, u64),
    /// Every watch ends.
    Cut(Side),
    /// Watches tell nothing, and their connection is reset at the end.
    Silence(Side),
    /// Events of watches come so many milliseconds late.
    Slow(Side, u64),
    /// So many events are lost.
    Swallow(Side, u64),
    /// Lists show the state of so many versions before.
    Stale(Side, u64),
    /// Watches cannot resume: the history is forgotten.
    Compact(Side),
    /// The same, by a server that refuses such a watch with 410 instead of telling it as an event.
    Expire(Side),
    /// The store is restored from a backup that is so many milliseconds old.
    Rewind(Side, u64),
    /// The cluster is replaced by an empty one.
    Replace(Side),
    /// The syncer stands still, and goes on after the length of the fault.
    Freeze,
    /// A second syncer with the same configuration runs.
    Second,
    /// A second syncer with a wrong configuration runs.
    Wrong(Wiring),
}

/// A fault at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Milliseconds after the start.
    pub at: u64,
    /// Milliseconds that it lasts.
    pub length: u64,
    /// Seed of what it hits.
    pub seed: u64,
    /// The fault.
    pub fault: Fault,
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
        json!({
            "containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": self.grace,
            "restartPolicy": if self.runs.is_some() { "Never" } else { "Always" },
            "automountServiceAccountToken": self.has_token,
        })
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
            | Self::Label(name, _)
            | Self::Delete(name, _)
            | Self::Evict(name)
            | Self::Remove(name)
            | Self::Foreign(name)
            | Self::DropForeign(name)
            | Self::Damage(name, _) => Some(name),
            Self::Namespace(_) | Self::DropNamespace(_) | Self::NodeDown(_) | Self::NodeUp(_) => None,
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
                | Self::NodeDown(_)
                | Self::NodeUp(_)
        )
    }
}

impl Fault {
    /// The kinds of faults, as the coverage counts them.
    pub const KINDS: [&'static str; 30] = [
        "crash at a poll",
        "crash before a write",
        "crash after a write",
        "crash at a request",
        "stop",
        "429",
        "5xx",
        "401, 403, 404 or 410",
        "lost request",
        "lost answer",
        "hanging request",
        "hanging answer",
        "late answer",
        "duplicated request",
        "late request",
        "cut watches",
        "silent watches",
        "slow watches",
        "lost event",
        "stale list",
        "compaction",
        "compaction answered with 410",
        "rewind",
        "replacement",
        "freeze",
        "second syncer",
        "wrong namespace",
        "swapped clusters",
        "wrong name",
        "hostile writer",
    ];

    /// The kind of the fault.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crash(Moment::Poll(_)) => "crash at a poll",
            Self::Crash(Moment::BeforeWrite(_)) => "crash before a write",
            Self::Crash(Moment::AfterWrite(_)) => "crash after a write",
            Self::Crash(Moment::Request(_)) => "crash at a request",
            Self::Stop => "stop",
            Self::Status { code: 429, .. } => "429",
            Self::Status { code: 500.., .. } => "5xx",
            Self::Status { .. } => "401, 403, 404 or 410",
            Self::Drop(..) => "lost request",
            Self::LostAnswer(..) => "lost answer",
            Self::Hang(..) => "hanging request",
            Self::HangAnswer(..) => "hanging answer",
            Self::LateAnswer(..) => "late answer",
            Self::Twice(..) => "duplicated request",
            Self::Late(..) => "late request",
            Self::Cut(_) => "cut watches",
            Self::Silence(_) => "silent watches",
            Self::Slow(..) => "slow watches",
            Self::Swallow(..) => "lost event",
            Self::Stale(..) => "stale list",
            Self::Compact(_) => "compaction",
            Self::Expire(_) => "compaction answered with 410",
            Self::Rewind(..) => "rewind",
            Self::Replace(_) => "replacement",
            Self::Freeze => "freeze",
            Self::Second => "second syncer",
            Self::Wrong(Wiring::Namespace) => "wrong namespace",
            Self::Wrong(Wiring::Swapped) => "swapped clusters",
            Self::Wrong(Wiring::Name) => "wrong name",
        }
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
    pub fn has_claims(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.act, Act::Claim(_)))
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
