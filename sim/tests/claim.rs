//! The claim of an engine between in-memory API servers: restored stores, its epoch, and two syncers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tenet_mapper::{Side, kinds};
use tenet_sim::api::{Cluster, ClusterConfig, Snapshot, Status};
use tenet_sim::world::LEASE as LEASES;
use tenet_syncer::ClaimAction;
use tenet_syncer::api::Api;
use tenet_syncer::embed::{Clients, Configuration, Embedded, Runtime, Task};
use time::OffsetDateTime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const CONFIG: &str = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /unused }\n\
    coredns: { enabled: false }\n";
const LEASE: &str = "lease: { enabled: true }\n";
/// Time in which a restored store is noticed.
const NOTICED: Duration = Duration::from_secs(15);
/// Time after which the epoch of the last write was raised.
const SETTLED: Duration = Duration::from_secs(30);

/// Tasks on the paused clock of a test.
struct Paused;

impl Runtime for Paused {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn random(&self) -> f64 {
        0.5
    }

    fn spawn(&self, task: Task) {
        tokio::spawn(task);
    }
}

struct Lab {
    host: Cluster,
    virt: Cluster,
    config: String,
}

impl Lab {
    fn new() -> Self {
        let cluster =
            |name: &str, seed| Cluster::new(ClusterConfig { name: name.into(), seed, ..ClusterConfig::default() });
        let lab = Self { host: cluster("host", 1), virt: cluster("virtual", 2), config: CONFIG.to_owned() };
        lab.host.create("admin", kinds::NAMESPACE, "", json!({"metadata": {"name": "team-a"}})).expect("an answer");
        lab
    }

    fn with_lease() -> Self {
        Self { config: format!("{CONFIG}{LEASE}"), ..Self::new() }
    }

    fn clients(&self) -> Clients {
        Clients { virt: Api::new(self.virt.client("syncer")), host: Api::new(self.host.client("syncer")) }
    }

    async fn adopt(&self) {
        let config = Configuration::read(CONFIG, &tenet_core_mappers::all()).expect("a configuration");
        config.claim(self.clients(), ClaimAction::Adopt { yes: true }).await.expect("it is adopted");
    }

    async fn start(&self, stop: &CancellationToken) -> Result<Embedded, String> {
        let mappers = tenet_core_mappers::all();
        let config = Configuration::read(&self.config, &mappers).expect("an answer");
        let clients = self.clients();
        let started = Embedded::start(config, mappers, clients, Arc::new(Paused), stop).await;
        started.map_err(|error| format!("{error:#}"))
    }

    fn service(&self, name: &str) {
        let spec = json!({"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": 80}]});
        self.virt
            .create("tenant", kinds::SERVICE, "default", json!({"metadata": {"name": name}, "spec": spec}))
            .expect("an answer");
    }

    fn of(&self, side: Side) -> &Cluster {
        if side == Side::Host { &self.host } else { &self.virt }
    }

    /// Returns a backup of a store that lacks the Service `new`, although both are of the same epoch.
    async fn backup_between_epochs(&self, side: Side) -> Snapshot {
        self.service("old");
        sleep(SETTLED).await;
        // The epoch is raised beside this, and not again for ten seconds.
        self.service("older");
        sleep(Duration::from_secs(2)).await;
        let (backup, epochs) = (self.of(side).snapshot(), self.epochs());
        self.service("new");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(self.epochs(), epochs, "{side}: the backup is of the same epoch");
        backup
    }

    fn has_copy(&self, name: &str) -> bool {
        self.host.get(kinds::SERVICE, "team-a", &format!("{name}-x-default-x-vc-1")).is_some()
    }

    fn half(&self, side: Side) -> Value {
        let half = match side {
            Side::Host => self.host.get(kinds::CONFIG_MAP, "team-a", "tenet-claim-vc-1"),
            Side::Virtual => self.virt.get(kinds::CONFIG_MAP, "kube-system", "tenet-claim"),
        };
        half.map(|half| (**half)["data"].clone()).unwrap_or_default()
    }

    /// Both epochs, while the host half is bound.
    fn epochs(&self) -> [u64; 2] {
        assert_eq!(self.half(Side::Host)["state"], "bound");
        [Side::Host, Side::Virtual]
            .map(|side| self.half(side)["epoch"].as_str().expect("an answer").parse().expect("an answer"))
    }

    /// Writes of the syncer since the last call.
    fn writes(&self) -> Vec<String> {
        let entries = [self.host.take_audit(), self.virt.take_audit()].concat();
        let ours = entries.into_iter().filter(|entry| entry.user == "syncer" && entry.is_changed);
        ours.map(|entry| format!("{:?} {} {}/{}", entry.verb, entry.kind, entry.namespace, entry.name)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_epoch_is_raised_beside_writes_and_nothing_is_written_at_rest() {
    let (lab, stop) = (Lab::new(), CancellationToken::new());
    let engine = lab.start(&stop).await.expect("an answer");
    lab.service("a");
    sleep(SETTLED).await;
    assert!(lab.has_copy("a") && engine.suspended().is_none());
    let [host, virt] = lab.epochs();
    assert!(host == virt && host > 1);
    lab.writes();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(lab.writes(), [""; 0], "at rest");

    for number in 0..60 {
        lab.service(&format!("s{number}"));
        sleep(Duration::from_secs(1)).await;
    }
    let raised = lab.epochs()[0] - host;
    assert!((3..=7).contains(&raised), "{raised} raises in a minute of writes");
    stop.cancel();

    sleep(SETTLED).await;
    lab.writes();
    let stop = CancellationToken::new();
    let engine = lab.start(&stop).await.expect("an answer");
    sleep(Duration::from_secs(60)).await;
    assert!(engine.suspended().is_none());
    assert_eq!(lab.writes(), [""; 0], "at rest after a restart");
    stop.cancel();
}

fn says_which_store_was_restored(engine: &Embedded, side: Side) {
    let reason = engine.suspended().unwrap_or_default();
    assert!(reason.contains(&format!("the {side} store looks restored")), "{side}: {reason}");
}

async fn is_refused_after_a_restart(lab: &Lab, side: Side) {
    sleep(SETTLED).await;
    let refused = lab.start(&CancellationToken::new()).await.err().unwrap_or_default();
    assert!(refused.contains("looks restored"), "{side}: a restart changes nothing: {refused}");
}

#[tokio::test(start_paused = true)]
async fn a_store_of_either_side_that_was_restored_suspends_all_writes_and_keeps_what_is_newer() {
    for side in [Side::Virtual, Side::Host] {
        let (lab, stop) = (Lab::new(), CancellationToken::new());
        let engine = lab.start(&stop).await.expect("an answer");
        lab.service("old");
        sleep(SETTLED).await;
        let backup = lab.of(side).snapshot();
        lab.service("new");
        sleep(SETTLED).await;
        assert!(lab.has_copy("new"));
        lab.of(side).restore(&backup);
        sleep(NOTICED).await;
        says_which_store_was_restored(&engine, side);
        lab.writes();
        lab.service("later");
        sleep(Duration::from_secs(120)).await;
        assert_eq!(lab.writes(), [""; 0], "{side}");
        assert_eq!(lab.has_copy("new"), side == Side::Virtual, "{side}");
        stop.cancel();
        is_refused_after_a_restart(&lab, side).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_between_two_epochs_suspends_all_writes_until_a_person_decides() {
    for side in [Side::Virtual, Side::Host] {
        let (lab, stop) = (Lab::new(), CancellationToken::new());
        let engine = lab.start(&stop).await.expect("an answer");
        let backup = lab.backup_between_epochs(side).await;
        assert!(lab.has_copy("new"), "{side}");
        lab.of(side).restore(&backup);
        sleep(NOTICED).await;
        says_which_store_was_restored(&engine, side);
        assert_eq!(lab.has_copy("new"), side == Side::Virtual, "{side}: what is newer than the backup stays");
        let events: Vec<_> = lab.virt.list(kinds::EVENT, "default");
        let event = events.iter().find(|event| event["reason"] == "SyncSuspended").expect("an event");
        let names_it = event["message"].as_str().expect("a message").contains("Service default/new");
        assert_eq!(names_it, side == Side::Virtual, "{}", event["message"]);
        lab.writes();
        sleep(Duration::from_secs(120)).await;
        assert_eq!(lab.writes(), [""; 0], "{side}");
        stop.cancel();
        is_refused_after_a_restart(&lab, side).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_while_no_syncer_ran_is_noticed_also_by_a_few_seconds() {
    let labs: [fn() -> Lab; 2] = [Lab::new, Lab::with_lease];
    for (side, lab) in [Side::Virtual, Side::Host].into_iter().flat_map(|side| labs.map(|lab| (side, lab()))) {
        let stop = CancellationToken::new();
        lab.start(&stop).await.expect("a syncer");
        let backup = lab.backup_between_epochs(side).await;
        stop.cancel();
        sleep(Duration::from_secs(1)).await;
        lab.of(side).restore(&backup);
        // Versions of the store say nothing any more.
        for number in 0..40 {
            let map = json!({"metadata": {"name": format!("later-{number}")}});
            lab.of(side).create("somebody", kinds::CONFIG_MAP, "default", map).expect("an answer");
        }
        is_refused_after_a_restart(&lab, side).await;
        assert!(side == Side::Host || lab.has_copy("new"), "what is newer than the backup stays");
        assert!(lab.has_copy("older"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_epoch_of_the_last_writes_is_raised_before_the_lease_is_released() {
    let (lab, stop) = (Lab::with_lease(), CancellationToken::new());
    lab.start(&stop).await.expect("a syncer");
    lab.service("old");
    sleep(Duration::from_secs(6)).await;
    lab.service("new");
    sleep(Duration::from_secs(1)).await;
    assert!(lab.has_copy("new"));
    let before = lab.epochs()[0];
    lab.writes();
    stop.cancel();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.epochs(), [before + 1; 2]);
    let lease = lab.host.get(LEASES, "team-a", "vc-1-tenet-syncer").expect("a lease");
    assert_eq!(lease["spec"]["holderIdentity"], "");
    let entries = lab.host.take_audit();
    let last = |kind: &str| entries.iter().rposition(|entry| entry.is_changed && entry.kind.kind == kind);
    assert!(last("ConfigMap").expect("a raise") < last("Lease").expect("a release"));
}

#[tokio::test(start_paused = true)]
async fn a_syncer_that_has_written_nothing_ends_without_a_write() {
    let (lab, stop) = (Lab::new(), CancellationToken::new());
    lab.start(&stop).await.expect("a syncer");
    lab.service("old");
    sleep(SETTLED).await;
    lab.writes();
    stop.cancel();
    sleep(SETTLED).await;
    assert_eq!(lab.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_a_person_adopts_after_an_older_answer_is_followed_again() {
    for side in [Side::Virtual, Side::Host] {
        let (lab, stop) = (Lab::new(), CancellationToken::new());
        let engine = lab.start(&stop).await.expect("a syncer");
        let backup = lab.backup_between_epochs(side).await;
        lab.of(side).restore(&backup);
        sleep(NOTICED).await;
        says_which_store_was_restored(&engine, side);
        lab.adopt().await;
        lab.service("later");
        sleep(SETTLED).await;
        assert_eq!(engine.suspended(), None, "{side}");
        assert_eq!(lab.epochs()[0], lab.epochs()[1], "{side}");
        let copies = ["old", "older", "new", "later"].map(|name| lab.has_copy(name));
        // A virtual Service that the backup lacks is as one that the tenant has deleted.
        assert_eq!(copies, [true, true, side == Side::Host, true], "{side}");
        stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn stores_that_were_restored_together_are_followed_again_without_a_person() {
    let (lab, stop) = (Lab::new(), CancellationToken::new());
    let engine = lab.start(&stop).await.expect("an answer");
    lab.service("old");
    sleep(SETTLED).await;
    let backups = (lab.host.snapshot(), lab.virt.snapshot());
    lab.service("new");
    sleep(SETTLED).await;
    lab.host.restore(&backups.0);
    lab.virt.restore(&backups.1);
    sleep(NOTICED).await;
    lab.service("later");
    sleep(NOTICED).await;
    assert_eq!(engine.suspended(), None);
    assert!(lab.has_copy("old") && lab.has_copy("later") && !lab.has_copy("new"));
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_virtual_cluster_that_was_replaced_is_not_written_and_takes_nothing_with_it() {
    let (lab, stop) = (Lab::new(), CancellationToken::new());
    let engine = lab.start(&stop).await.expect("an answer");
    lab.service("old");
    sleep(SETTLED).await;
    lab.virt.replace();
    lab.writes();
    sleep(NOTICED).await;
    let reason = engine.suspended().unwrap_or_default();
    assert!(reason.contains("for the virtual cluster with the UID"), "{reason}");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(lab.writes(), [""; 0]);
    assert!(lab.has_copy("old"));
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_ends_between_two_writes_is_completed() {
    for failed in 0..3 {
        let lab = Lab::new();
        let count = Arc::new(AtomicUsize::new(0));
        for cluster in [&lab.host, &lab.virt] {
            let count = Arc::clone(&count);
            cluster.set_admission(Some(Arc::new(move |review, _| {
                let is_half = review.user == "syncer" && review.name.starts_with("tenet-claim");
                if is_half && count.fetch_add(1, Ordering::SeqCst) == failed {
                    return Err(Status::internal("for a test"));
                }
                Ok(())
            })));
        }
        let stop = CancellationToken::new();
        let engine = lab.start(&stop).await.expect("an answer");
        assert_eq!(lab.epochs(), [1, 1], "write {failed} failed");
        assert_eq!(engine.suspended(), None);
        stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn two_syncers_of_one_claim_do_not_suspend_each_other() {
    let lab = Lab::new();
    let stops = [CancellationToken::new(), CancellationToken::new()];
    let (one, two) = (lab.start(&stops[0]).await.expect("an answer"), lab.start(&stops[1]).await.expect("an answer"));
    for number in 0..120 {
        lab.service(&format!("s{number}"));
        sleep(Duration::from_secs(1)).await;
        assert_eq!((one.suspended(), two.suspended()), (None, None));
    }
    sleep(SETTLED).await;
    assert!((0..120).all(|number| lab.has_copy(&format!("s{number}"))));
    let [host, virt] = lab.epochs();
    assert_eq!(host, virt);
    for stop in stops {
        stop.cancel();
    }
}
