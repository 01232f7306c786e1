//! Cost of one event and of one look-up in clusters of 1,000, 10,000 and 100,000 objects: it should
//! not grow with the cluster. The last lines are the ratios.

mod cluster;
mod ratios;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use futures::FutureExt;
use tenet_mapper::{MapperId, Side, VirtualKey, kinds};
use tenet_syncer::bench::{Again, Key, Lane, Queue};

use cluster::{Cluster, IN_NAMESPACE, namespace};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

const STATUS: &str = "status";
const DECIDED: &str = "status-decided";
const CREATED: &str = "new-pod-decided";
const LISTED: &str = "list";
const PROMOTED: &str = "promotion";
/// The benches, and what each of them measures.
const BENCHES: [(&str, &str); 5] = [
    (STATUS, "a status of a host pod through cache, router and queue"),
    (DECIDED, "the same, and what the mappers decide"),
    (CREATED, "a new virtual pod through cache, router and queue, and what the mappers decide"),
    (LISTED, "list of a namespace of 10 Services"),
    (PROMOTED, "promotion, turn and return of a key, all keys of one namespace"),
];

fn main() {
    let folder = ratios::folder();
    let mut criterion = Criterion::default()
        .output_directory(&folder)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .without_plots()
        .configure_from_args();
    // All sizes stand there at the same time and take turns in each bench, so that what else the
    // machine does hits them alike.
    let mut subjects = SIZES.map(Subject::new);
    let mut group = criterion.benchmark_group(ratios::GROUP);
    for bench in [status, status_decided, new_pod, list, promotion] {
        for subject in &mut subjects {
            bench(&mut group, subject);
        }
    }
    group.finish();
    criterion.final_summary();
    print!("{}", ratios::table(&folder, &BENCHES, &SIZES));
}

type Group<'c> = BenchmarkGroup<'c, WallTime>;

/// A cluster, and a queue with so many keys of one namespace.
struct Subject {
    size: usize,
    all: Cluster,
    queue: Queue,
    keys: Vec<Key>,
    turn: usize,
}

impl Subject {
    fn new(size: usize) -> Self {
        let (all, queue) = (Cluster::new(size), Queue::default());
        let key =
            |number| Key { mapper: MapperId::new("pod"), object: VirtualKey::new("loud", format!("pod-{number}")) };
        let keys: Vec<_> = (0..size).map(key).collect();
        for key in &keys {
            queue.add(key.clone(), Lane::Patrol);
        }
        Self { size, all, queue, keys, turn: 0 }
    }

    /// The number of the next object: a prime step visits places far apart.
    fn next(&mut self) -> usize {
        self.turn += 1;
        self.turn * 7_919 % self.size
    }

    /// The status of a host pod changes.
    fn status(&mut self, decide: bool) -> Duration {
        let number = self.next();
        let host = self.all.host_pod(number, &self.all.pod(number), &self.turn.to_string());
        let start = Instant::now();
        self.all.event(Side::Host, kinds::POD, host);
        if decide {
            assert!(self.all.reconcile() > 0, "the status is shown inside");
        } else {
            self.all.drain(|_, _| {});
        }
        start.elapsed()
    }

    /// A pod is created, and goes again.
    fn new_pod(&mut self) -> Duration {
        let number = self.next();
        let mut pod = self.all.pod(number);
        pod["metadata"]["name"] = format!("new-{}", self.turn).into();
        pod["metadata"]["uid"] = format!("new-{}", self.turn).into();
        pod["spec"].as_object_mut().expect("a spec").remove("nodeName");
        let last = pod.clone();
        let start = Instant::now();
        self.all.event(Side::Virtual, kinds::POD, pod);
        assert!(self.all.reconcile() > 0, "the pod crosses");
        let took = start.elapsed();
        self.all.removed(Side::Virtual, kinds::POD, last);
        self.all.drain(|_, _| {});
        took
    }
}

fn timed(group: &mut Group<'_>, name: &str, subject: &mut Subject, mut round: impl FnMut(&mut Subject) -> Duration) {
    group.bench_function(BenchmarkId::new(name, subject.size), |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| round(subject)).sum());
    });
}

fn status(group: &mut Group<'_>, subject: &mut Subject) {
    timed(group, STATUS, subject, |subject| subject.status(false));
}

fn status_decided(group: &mut Group<'_>, subject: &mut Subject) {
    timed(group, DECIDED, subject, |subject| subject.status(true));
}

fn new_pod(group: &mut Group<'_>, subject: &mut Subject) {
    timed(group, CREATED, subject, Subject::new_pod);
}

fn list(group: &mut Group<'_>, subject: &mut Subject) {
    timed(group, LISTED, subject, |subject| {
        let namespace = namespace(subject.next());
        let start = Instant::now();
        assert_eq!(black_box(subject.all.services(&namespace)).len(), IN_NAMESPACE);
        start.elapsed()
    });
}

fn promotion(group: &mut Group<'_>, subject: &mut Subject) {
    timed(group, PROMOTED, subject, |subject| {
        let number = subject.next();
        let key = subject.keys[number].clone();
        let start = Instant::now();
        subject.queue.add(key, Lane::Urgent);
        let ticket = subject.queue.pop().now_or_never().expect("a key is ready");
        subject.queue.done(&ticket.key, Again::No);
        subject.queue.add(ticket.key, Lane::Patrol);
        start.elapsed()
    });
}
