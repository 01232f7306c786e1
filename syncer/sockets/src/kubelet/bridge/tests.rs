use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use super::*;

const IDLE: Duration = Duration::from_secs(60);

struct Bed {
    client: DuplexStream,
    host: DuplexStream,
    stop: CancellationToken,
    bridge: tokio::task::JoinHandle<(End, Passed)>,
}

/// A bridge between two pipes, each of which holds `room` bytes.
fn bed(room: usize) -> Bed {
    let (client, inner_client) = duplex(room);
    let (host, inner_host) = duplex(room);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let bridge = tokio::spawn(async move {
        let (mut client, mut host) = (BufReader::new(inner_client), BufReader::new(inner_host));
        bridge(&mut client, &mut host, IDLE, &stopped).await
    });
    Bed { client, host, stop, bridge }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_ends_lets_the_other_finish() {
    let mut bed = bed(64);
    bed.client.write_all(b"question").await.unwrap();
    bed.client.shutdown().await.unwrap();
    let mut read = Vec::new();
    bed.host.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"question");
    bed.host.write_all(b"answer").await.unwrap();
    drop(bed.host);
    let mut read = Vec::new();
    bed.client.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"answer");
    assert_eq!(bed.bridge.await.unwrap(), (End::Closed, Passed { down: 8, up: 6 }));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_follow_is_closed_in_time() {
    let mut bed = bed(64);
    let start = Instant::now();
    bed.client.shutdown().await.unwrap();
    assert_eq!(bed.bridge.await.unwrap().0, End::Closed);
    assert_eq!(start.elapsed(), LINGER);
    assert_eq!(bed.host.read(&mut [0; 8]).await.unwrap(), 0);
}

/// A command that has ended takes no input, while its last output is still on its way.
#[tokio::test(start_paused = true)]
async fn what_the_host_has_sent_arrives_although_it_takes_nothing_more() {
    let mut bed = bed(64);
    bed.host.write_all(b"answer").await.unwrap();
    drop(bed.host);
    bed.client.write_all(b"more input").await.unwrap();
    let mut read = Vec::new();
    bed.client.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"answer");
    assert_eq!(bed.bridge.await.unwrap(), (End::Broken, Passed { down: 0, up: 6 }));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_goes_on_sending_after_the_other_has_ended_is_not_cut_off() {
    let mut bed = bed(64);
    bed.client.shutdown().await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(LINGER * 2 / 3).await;
        bed.host.write_all(b".").await.unwrap();
    }
    drop(bed.host);
    let mut read = Vec::new();
    bed.client.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"....");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_writer_and_nothing_piles_up() {
    let mut bed = bed(64);
    let written = tokio::time::timeout(Duration::from_secs(1), async {
        let mut written = 0;
        loop {
            written += bed.client.write(&[7; 4096]).await.unwrap();
            assert!(written <= 64 + 8192 + BATCH + 64, "two pipes, a buffer and what is held");
        }
    });
    assert!(written.await.is_err());
    drop(bed.host);
    assert_eq!(bed.bridge.await.unwrap().0, End::Broken);
}

#[tokio::test(start_paused = true)]
async fn an_idle_bridge_ends_and_a_busy_one_does_not() {
    let mut bed = bed(64);
    let start = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(IDLE / 2).await;
        bed.host.write_all(b".").await.unwrap();
        bed.client.read_exact(&mut [0]).await.unwrap();
    }
    let (end, passed) = bed.bridge.await.unwrap();
    assert_eq!((end, passed.up), (End::Idle, 3));
    assert!(start.elapsed() >= IDLE * 5 / 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_it_at_once() {
    let bed = bed(64);
    bed.stop.cancel();
    assert_eq!(bed.bridge.await.unwrap().0, End::Stopped);
}

/// Action of one side, as a fuzzer generates it.
#[derive(Clone, Debug)]
enum Step {
    Client(usize),
    Host(usize),
    CloseClient,
    CloseHost,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..300).prop_map(Step::Client),
        8 => (1usize..300).prop_map(Step::Host),
        1 => Just(Step::CloseClient),
        1 => Just(Step::CloseHost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each side reads what the other wrote, in order, whatever the cuts and the ends.
    #[test]
    fn what_was_written_before_an_end_arrives(steps in prop::collection::vec(step(), 0..40), room in 1usize..400) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bed = bed(room);
            let (client_read, mut client_write) = tokio::io::split(bed.client);
            let (host_read, mut host_write) = tokio::io::split(bed.host);
            let read = |mut side: tokio::io::ReadHalf<DuplexStream>| tokio::spawn(async move {
                let mut all = Vec::new();
                drop(side.read_to_end(&mut all).await);
                all
            });
            let (at_client, at_host) = (read(client_read), read(host_read));
            let (mut down, mut up, mut byte) = (Vec::new(), Vec::new(), 0u8);
            let (mut client_open, mut host_open) = (true, true);
            let mut chunk = |size| { byte = byte.wrapping_add(1); vec![byte; size] };
            for step in steps {
                // After an end the other side has a while; what comes later may be cut.
                if !(client_open && host_open) { break }
                match step {
                    Step::Client(size) => { let data = chunk(size); client_write.write_all(&data).await.unwrap(); down.extend(data); }
                    Step::Host(size) => { let data = chunk(size); host_write.write_all(&data).await.unwrap(); up.extend(data); }
                    Step::CloseClient => { client_open = false; client_write.shutdown().await.unwrap(); }
                    Step::CloseHost => { host_open = false; host_write.shutdown().await.unwrap(); }
                }
            }
            client_write.shutdown().await.unwrap();
            host_write.shutdown().await.unwrap();
            prop_assert_eq!(at_host.await.unwrap(), down);
            prop_assert_eq!(at_client.await.unwrap(), up);
            prop_assert_eq!(bed.bridge.await.unwrap().0, End::Closed);
            Ok(())
        })?;
    }
}
