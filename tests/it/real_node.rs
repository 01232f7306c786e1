//! Streams to containers that really run: through the host alone, and through a virtual cluster.

mod kubectl;
mod lab;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tenet_playground::RealNode;

use lab::{Lab, Side};

const NO_ARGS: [&str; 0] = [];

/// Runs a check on both sides with both protocols. Prints that it is skipped when no real node can run.
async fn everywhere(check: impl AsyncFn(&Side) -> Result<()>) -> Result<()> {
    let Some(lab) = Lab::shared().await? else { return Ok(()) };
    let _steady = lab.steady().await;
    for side in lab.sides() {
        check(&side).await.with_context(|| side.to_string())?;
    }
    Ok(())
}

/// Returns bytes that neither compression nor chance makes equal.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_tells_output_errors_and_exit_codes_apart() -> Result<()> {
    everywhere(async |side| {
        for code in [0, 1, 137] {
            let script = format!("echo out; echo err >&2; exit {code}");
            let ended = side.kubectl(&["exec", "box", "--", "sh", "-c", &script]).run().await?;
            ensure!(ended.code == Some(code), "{ended:?}");
            ensure!(ended.stdout == b"out\n" && ended.stderr().starts_with("err\n"), "{ended:?}");
        }
        let ended = side.kubectl(&["exec", "box", "--", "no-such-program"]).run().await?;
        ensure!(ended.code.is_some_and(|code| code != 0) && ended.stderr().contains("no-such-program"), "{ended:?}");
        Ok(())
    })
    .await
}

/// An init container writes the file, confined as the level `restricted` of Pod Security asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_a_subdomain_finds_its_long_name_in_its_hosts_file() -> Result<()> {
    let Some(lab) = Lab::shared().await? else { return Ok(()) };
    let _steady = lab.steady().await;
    for side in lab.sides().iter().filter(|side| side.is_virtual()) {
        let pod = side.pod_in_subdomain("named", "web").await?;
        let names = side.kubectl(&["exec", &pod, "--", "sh", "-c", "hostname; hostname -f"]).succeed().await?;
        ensure!(names == format!("{pod}\n{pod}.web.default.svc.cluster.local\n"), "{side}: {names}");
        side.delete(&pod).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_its_size_and_its_exit_code() -> Result<()> {
    everywhere(async |side| {
        let script = "sleep 0.5; tty; stty size; exit 7";
        let exec = side.kubectl(&["exec", "-it", "box", "--", "sh", "-c", script]).on_a_terminal(33, 77);
        let ended = exec.run().await?;
        let shown = String::from_utf8_lossy(&ended.stdout);
        ensure!(shown.contains("/dev/pts/") && shown.contains("33 77") && ended.code == Some(7), "{ended:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_come_back_as_they_went() -> Result<()> {
    let bytes = noise(100_000_000);
    everywhere(async |side| {
        let started = Instant::now();
        let ended = side.kubectl(&["exec", "-i", "box", "--", "cat"]).stdin(bytes.clone()).run().await?;
        println!("{side}: 100 MB there and back in {:.1} s", started.elapsed().as_secs_f64());
        ensure!(ended.code == Some(0), "exit code {:?}: {}", ended.code, ended.stderr());
        ensure!(ended.stdout == bytes, "{} bytes came back, and not the ones that went", ended.stdout.len());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_copied_both_ways() -> Result<()> {
    let bytes = noise(20_000_000);
    everywhere(async |side| {
        let dir = tempfile::tempdir()?;
        let (there, back) = (dir.path().join("there"), dir.path().join("back"));
        std::fs::write(&there, &bytes)?;
        let path = |path: &std::path::Path| path.display().to_string();
        side.kubectl(&["cp", &path(&there), "box:/tmp/copy"]).succeed().await?;
        side.kubectl(&["cp", "box:/tmp/copy", &path(&back)]).succeed().await?;
        ensure!(std::fs::read(&back)? == bytes, "the file changed on its way");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_to_the_end_of_a_container_and_after_its_restart() -> Result<()> {
    everywhere(async |side| {
        let pod = side.fresh_pod("restarts", lab::COUNTS, &NO_ARGS).await?;
        let mut first = side.kubectl(&["logs", "-f", &pod]).start()?;
        first.until_line("of the count", |line| line == "line 3")?;
        side.kubectl(&["exec", &pod, "--", "touch", "/tmp/end"]).succeed().await?;
        ensure!(first.end(Duration::from_secs(20))? == Some(0), "kubectl logs -f ended badly");
        let seen = first.rest();
        ensure!(seen.last().is_some_and(|line| line == "the end"), "{seen:?}");
        side.until_restarted(&pod).await?;
        let mut second = side.kubectl(&["logs", "-f", &pod]).start()?;
        second.until_line("of the new count", |line| line == "line 1")?;
        let previous = side.kubectl(&["logs", "--previous", "--tail=1", &pod]).succeed().await?;
        ensure!(previous == "the end\n", "{previous:?}");
        let stamped = side.kubectl(&["logs", "--timestamps", "--limit-bytes=20", &pod]).succeed().await?;
        ensure!(stamped.starts_with("20") && stamped.len() == 20, "{stamped:?}");
        side.delete(&pod).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_detaches_and_another_attaches() -> Result<()> {
    everywhere(async |side| {
        let pod = side.fresh_pod("listens", "while read word; do echo got $word; done", &["stdin"]).await?;
        for word in ["one", "two"] {
            let mut client = side.kubectl(&["attach", "-i", &pod]).start()?;
            client.send(&format!("{word}\n"))?;
            client.until_line("with an answer", |line| line == format!("got {word}"))?;
        }
        let logs = side.kubectl(&["logs", &pod]).succeed().await?;
        ensure!(logs == "got one\ngot two\n", "{logs:?}");
        side.delete(&pod).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_connections_are_forwarded_at_once() -> Result<()> {
    everywhere(async |side| {
        let mut forward = side.kubectl(&["port-forward", "pod/box", ":80"]).start()?;
        let line = forward.until_line("with a port", |line| line.starts_with("Forwarding from 127.0.0.1:"))?;
        let port: u16 = line.split([':', ' ']).nth(3).and_then(|port| port.parse().ok()).context(line.clone())?;
        let pages = (0..50).map(|_| tokio::task::spawn_blocking(move || page(port))).collect::<Vec<_>>();
        for read in pages {
            let length = read.await??;
            ensure!(length == lab::PAGE_LENGTH, "a page of {length} bytes");
        }
        Ok(())
    })
    .await
}

fn page(port: u16) -> Result<usize> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    connection.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").context("no head")?;
    Ok(answer.len() - head - 4)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_container_sees_the_processes_of_its_target() -> Result<()> {
    everywhere(async |side| {
        let pod = side.fresh_pod("patient", lab::COUNTS, &NO_ARGS).await?;
        let image = format!("--image={}", RealNode::IMAGE);
        let script = "ps | grep -c 'echo line'; echo seen";
        // The default profile adds a capability, which tenants may not have.
        let (target, profile) = ("--target=main", "--profile=baseline");
        let debug = ["debug", &pod, &image, target, profile, "--container=doctor", "--", "sh", "-c", script];
        side.kubectl(&debug).succeed().await?;
        let state = "{.status.ephemeralContainerStatuses[?(@.name==\"doctor\")].state.terminated.exitCode}";
        side.until_field(&pod, state, "0").await?;
        let logs = side.kubectl(&["logs", &pod, "-c", "doctor"]).succeed().await?;
        ensure!(logs.ends_with("seen\n") && !logs.starts_with('0'), "{logs:?}");
        side.delete(&pod).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_kubelet_ends_every_stream_in_ten_seconds() -> Result<()> {
    let Some(lab) = Lab::shared().await? else { return Ok(()) };
    let _alone = lab.alone().await;
    for side in lab.sides() {
        let mut exec = side.kubectl(&["exec", "box", "--", "sh", "-c", lab::COUNTS]).start()?;
        exec.until_line("of the count", |line| line == "line 3")?;
        let mut logs = side.kubectl(&["logs", "-f", "box"]).start()?;
        logs.until_line("of the count", |line| line == "line 3")?;
        lab.node.kill_kubelet();
        let limit = Duration::from_secs(10);
        let ends = (exec.end(limit), logs.end(limit));
        lab.node.start_kubelet()?;
        ends.0.with_context(|| side.to_string())?;
        ends.1.with_context(|| side.to_string())?;
        if side.is_virtual() {
            lab.until_no_streams().await.with_context(|| side.to_string())?;
        }
        side.until_exec_works("box").await.with_context(|| side.to_string())?;
    }
    Ok(())
}
