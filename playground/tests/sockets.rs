//! Stand-ins for containers answer kubectl, on the host alone.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tenet_playground::{Component, Options, Patience, Playground, Progress, TimedOut};

fn kubectl(playground: &Playground, args: &[&str]) -> Command {
    let mut command = Command::new(playground.components().path(Component::Kubectl));
    command.arg("--kubeconfig").arg(playground.host_kubeconfig()).args(args).stdin(Stdio::null());
    command
}

fn said(playground: &Playground, args: &[&str]) -> String {
    let output = kubectl(playground, args).output().expect("kubectl");
    assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Port-forward that ends with the test.
struct Forward(Child);

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn exchange(playground: &Playground, port: u16, request: &[u8]) -> String {
    let ports = format!(":{port}");
    let mut command = kubectl(playground, &["port-forward", "pod/web", &ports]);
    let mut forward = Forward(command.stdout(Stdio::piped()).spawn().expect("kubectl"));
    let mut line = String::new();
    // kubectl ends when it writes to a closed pipe.
    let mut output = BufReader::new(forward.0.stdout.take().expect("its output"));
    output.read_line(&mut line).expect("a line");
    let address = line.split(' ').nth(2).expect("Forwarding from ADDRESS").to_owned();
    let mut connection = TcpStream::connect(&address).expect(&line);
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    connection.write_all(request).expect("a request");
    let mut answer = vec![0; 4096];
    let length = connection.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// The stand-ins are tasks of this process, and kubectl blocks a thread.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_answers_from_pods_that_do_not_run() {
    let options = Options { metrics: true, progress: Progress::stderr(), ..Options::default() };
    let playground = Playground::start(options).await.expect("a playground");
    said(&playground, &["run", "web", "--image=nginx", "--labels=playground/cpu=250m,playground/memory=64Mi"]);
    said(&playground, &["wait", "--for=condition=Ready", "pod/web", "--timeout=30s"]);

    assert_eq!(said(&playground, &["exec", "web", "--", "echo", "hello"]), "hello\n");
    assert!(exchange(&playground, 80, b"GET /page HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(exchange(&playground, 7, b"there and back"), "there and back");
    assert!(said(&playground, &["logs", "web"]).ends_with("web server: \"GET /page HTTP/1.1\" 200 OK\n"));

    let measured = async || {
        let output = kubectl(&playground, &["top", "pod", "web", "--no-headers"]).output().expect("kubectl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split_whitespace().skip(1);
        let cpu = words.next().and_then(|cpu| cpu.strip_suffix('m')).and_then(|cpu| cpu.parse::<u32>().ok());
        // A first measurement may overestimate by part of a second.
        Ok::<_, TimedOut>(cpu.is_some_and(|cpu| (240..=260).contains(&cpu)) && words.next() == Some("64Mi"))
    };
    Patience::new(Duration::from_secs(90)).until("the usage of the pod", measured).await.expect("kubectl top");
    assert_eq!(said(&playground, &["top", "node", "--no-headers"]).lines().count(), 2);
    playground.shutdown().await;
}
