//! Queue under load: insert and take keys across namespaces and lanes.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tenet_mapper::{MapperId, VirtualKey};
use tenet_syncer::bench::{Again, Key, Lane, Queue};

const KEYS: usize = 3_000;

fn keys() -> Vec<Key> {
    let key = |i: usize| Key {
        mapper: MapperId::new("pod"),
        object: VirtualKey::new(format!("ns-{}", i % 20), format!("pod-{i}")),
    };
    (0..KEYS).map(key).collect()
}

fn drain(queue: &Queue, runtime: &tokio::runtime::Runtime, count: usize) {
    runtime.block_on(async {
        for _ in 0..count {
            let ticket = queue.pop().await;
            queue.done(&ticket.key, Again::No);
        }
    });
}

fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let keys = keys();
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("add, pop and done of 3,000 keys", |bencher| {
        bencher.iter_batched(
            Queue::default,
            |queue| {
                for key in &keys {
                    queue.add(key.clone(), Lane::Change);
                }
                drain(&queue, &runtime, KEYS);
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("3,000 keys, five events each", |bencher| {
        bencher.iter_batched(
            Queue::default,
            |queue| {
                for lane in [Lane::Patrol, Lane::Change, Lane::Change, Lane::Urgent, Lane::Urgent] {
                    for key in &keys {
                        queue.add(key.clone(), lane);
                    }
                }
                drain(&queue, &runtime, KEYS);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
