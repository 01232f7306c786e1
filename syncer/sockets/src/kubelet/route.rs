//! Routes: the things that a request can ask for. The text of a request is read here, once, into a value; the request
//! to the host is built from that value alone.

use http::Method;
use tenet_mapper::translate::dns_name::{is_label, is_subdomain};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::query::{Builder, Query};

/// A request that is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Nothing is there.
    #[error("404 page not found")]
    NotFound,
    /// Something is there, for another method.
    #[error("405 method not allowed")]
    Method,
    /// A parameter cannot be read.
    #[error("cannot parse the query of the request: {0}")]
    Query(String),
}

/// A pod as the tenant names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID, where the request says one.
    pub uid: Option<String>,
}

/// Standard streams of a command or an attachment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // They are the switches of the Kubernetes API.
pub struct Channels {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// Part of a log that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// True if lines that are written later follow.
    pub follow: bool,
    /// True for the log of the container that ran before.
    pub previous: bool,
    /// True if each line begins with its time.
    pub timestamps: bool,
    /// Only lines of the last so many seconds.
    pub since_seconds: Option<u64>,
    /// Only lines after this time.
    pub since_time: Option<String>,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only so many bytes.
    pub limit_bytes: Option<u64>,
    /// `Stdout`, `Stderr` or `All`.
    pub stream: Option<String>,
}

/// Stream to a container or a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run a command, with streams.
    Exec {
        /// The container.
        container: String,
        /// The command and its arguments.
        command: Vec<String>,
        /// Standard streams of the command.
        channels: Channels,
    },
    /// Join the main process.
    Attach {
        /// The container.
        container: String,
        /// Standard streams of the attachment.
        channels: Channels,
    },
    /// Reach ports.
    PortForward {
        /// Ports named in advance; with SPDY each stream names its own.
        ports: Vec<u16>,
    },
    /// Read the log.
    Logs {
        /// The container.
        container: String,
        /// Part of the log.
        options: LogOptions,
    },
    /// Run a command and answer with its output.
    Run {
        /// The container.
        container: String,
        /// The command and its arguments.
        command: Vec<String>,
    },
}

/// Parsed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Something is done to a pod.
    Pod(PodName, Action),
    /// The pods of the node.
    Pods,
    /// The pods of the node that run.
    RunningPods,
    /// Usage, as JSON.
    StatsSummary,
    /// Numbers of the pods and containers of the node.
    Metrics,
    /// Usage, for metrics servers.
    MetricsResource,
    /// Usage, under the names of cAdvisor.
    MetricsCadvisor,
    /// Health of the kubelet.
    Healthz,
    /// The configuration.
    Configz,
}

/// Reads the path and the query of a request.
pub fn parse(method: &Method, path: &str, query: &str) -> Result<Route, RouteError> {
    // Each part of a path is a name, and no name needs an escape, so a path with one is refused. Nothing is decoded, so
    // nothing can be decoded twice.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/');
    if !path.bytes().all(plain) {
        return Err(RouteError::NotFound);
    }
    let parts: Vec<_> = path.strip_prefix('/').ok_or(RouteError::NotFound)?.split('/').collect();
    match parts.as_slice() {
        [kind @ ("exec" | "attach" | "run" | "containerLogs"), rest @ ..] => container(method, kind, rest, query),
        ["portForward", rest @ ..] => port_forward(method, rest, query),
        _ => whole_node(method, &parts),
    }
}

fn whole_node(method: &Method, parts: &[&str]) -> Result<Route, RouteError> {
    let route = match parts {
        ["pods" | "pods/"] | ["pods", ""] => Route::Pods,
        ["runningpods" | "runningpods/"] | ["runningpods", ""] => Route::RunningPods,
        ["stats", "summary"] => Route::StatsSummary,
        ["metrics"] => Route::Metrics,
        ["metrics", "resource"] => Route::MetricsResource,
        ["metrics", "cadvisor"] => Route::MetricsCadvisor,
        ["healthz"] | ["healthz", "ping" | "log" | "syncloop"] => Route::Healthz,
        ["configz"] => Route::Configz,
        _ => return Err(RouteError::NotFound),
    };
    if *method == Method::GET { Ok(route) } else { Err(RouteError::Method) }
}

fn container(method: &Method, kind: &str, parts: &[&str], query: &str) -> Result<Route, RouteError> {
    let (pod, container) = match (kind, parts) {
        (_, [namespace, name, container]) => (pod(namespace, name, None)?, *container),
        ("containerLogs", _) => return Err(RouteError::NotFound),
        (_, [namespace, name, uid, container]) => (pod(namespace, name, Some(uid))?, *container),
        _ => return Err(RouteError::NotFound),
    };
    if !is_label(container) {
        return Err(RouteError::NotFound);
    }
    let container = container.to_owned();
    let mut query = Query::parse(query)?;
    let action = match kind {
        "exec" => {
            streaming(method)?;
            Action::Exec { container, command: command(&mut query, "command")?, channels: channels(&mut query)? }
        }
        "attach" => {
            streaming(method)?;
            Action::Attach { container, channels: channels(&mut query)? }
        }
        "run" if *method != Method::POST => return Err(RouteError::Method),
        "run" => Action::Run { container, command: words(&mut query)? },
        _ if *method != Method::GET => return Err(RouteError::Method),
        _ => Action::Logs { container, options: log_options(&mut query)? },
    };
    query.end()?;
    Ok(Route::Pod(pod, action))
}

fn port_forward(method: &Method, path: &[&str], query: &str) -> Result<Route, RouteError> {
    let pod = match path {
        [namespace, name] => pod(namespace, name, None)?,
        [namespace, name, uid] => pod(namespace, name, Some(uid))?,
        _ => return Err(RouteError::NotFound),
    };
    streaming(method)?;
    let mut query = Query::parse(query)?;
    let mut ports = Vec::new();
    for text in query.all("port").into_iter().chain(query.all("ports")) {
        for port in text.split(',') {
            let number = port.parse::<u16>().ok().filter(|number| *number > 0);
            ports.push(number.ok_or_else(|| RouteError::Query(format!("port is {port:?}, which is none")))?);
        }
    }
    query.end()?;
    Ok(Route::Pod(pod, Action::PortForward { ports }))
}

/// Checks the method of a request for a stream: SPDY comes as POST or GET, WebSocket as GET.
fn streaming(method: &Method) -> Result<(), RouteError> {
    if matches!(*method, Method::GET | Method::POST) { Ok(()) } else { Err(RouteError::Method) }
}

fn pod(namespace: &str, name: &str, uid: Option<&str>) -> Result<PodName, RouteError> {
    let good = is_label(namespace) && is_subdomain(name) && uid.is_none_or(is_uid);
    good.then(|| PodName { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.map(str::to_owned) })
        .ok_or(RouteError::NotFound)
}

fn command(query: &mut Query, name: &str) -> Result<Vec<String>, RouteError> {
    let command = query.all(name);
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(RouteError::Query(format!("{name} is missing"))),
    }
}

/// Reads the command of `run`, which is in one parameter, separated by blanks.
fn words(query: &mut Query) -> Result<Vec<String>, RouteError> {
    let text = query.one("cmd")?.unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() { Err(RouteError::Query("cmd is missing".to_owned())) } else { Ok(words) }
}

/// Reads the channels. An API server names them `input`, `output` and `error`.
fn channels(query: &mut Query) -> Result<Channels, RouteError> {
    let channels = Channels {
        stdin: query.switch("input")? | query.switch("stdin")?,
        stdout: query.switch("output")? | query.switch("stdout")?,
        stderr: query.switch("error")? | query.switch("stderr")?,
        tty: query.switch("tty")?,
    };
    if !(channels.stdin || channels.stdout || channels.stderr) {
        return Err(RouteError::Query("you must specify at least 1 of stdin, stdout, stderr".to_owned()));
    }
    Ok(channels)
}

fn log_options(query: &mut Query) -> Result<LogOptions, RouteError> {
    let since_time = query.one("sinceTime")?.filter(|time| !time.is_empty());
    if let Some(time) = since_time.as_deref().filter(|time| OffsetDateTime::parse(time, &Rfc3339).is_err()) {
        return Err(RouteError::Query(format!("sinceTime is {time:?}, which is no time")));
    }
    let stream = query.one("stream")?.filter(|stream| !stream.is_empty());
    if let Some(stream) = stream.as_deref().filter(|stream| !["All", "Stdout", "Stderr"].contains(stream)) {
        return Err(RouteError::Query(format!("stream is {stream:?}, neither All nor Stdout nor Stderr")));
    }
    Ok(LogOptions {
        follow: query.switch("follow")?,
        previous: query.switch("previous")?,
        timestamps: query.switch("timestamps")?,
        since_seconds: query.number("sinceSeconds")?,
        since_time,
        tail_lines: query.number("tailLines")?,
        limit_bytes: query.number("limitBytes")?,
        stream,
    })
}

impl Action {
    /// The container, if it is about one.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Exec { container, .. }
            | Self::Attach { container, .. }
            | Self::Logs { container, .. }
            | Self::Run { container, .. } => Some(container),
            Self::PortForward { .. } => None,
        }
    }

    /// The name of the endpoint, for metrics and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exec { .. } => "exec",
            Self::Attach { .. } => "attach",
            Self::PortForward { .. } => "portForward",
            Self::Logs { .. } => "containerLogs",
            Self::Run { .. } => "run",
        }
    }

    /// The subresource of the host pod, with its query.
    pub fn subresource(&self) -> String {
        let mut query = Builder::default();
        if let Some(container) = self.container() {
            query.set("container", container);
        }
        let name = match self {
            Self::Exec { command, channels, .. } => {
                query.set_all("command", command);
                channels.write(&mut query);
                "exec"
            }
            Self::Run { command, .. } => {
                query.set_all("command", command);
                Channels { stdout: true, stderr: true, ..Channels::default() }.write(&mut query);
                "exec"
            }
            Self::Attach { channels, .. } => {
                channels.write(&mut query);
                "attach"
            }
            Self::PortForward { ports } => {
                query.set_all("ports", ports.iter().map(u16::to_string));
                "portforward"
            }
            Self::Logs { options, .. } => {
                options.write(&mut query);
                "log"
            }
        };
        format!("{name}{}", query.text())
    }
}

impl Channels {
    fn write(self, query: &mut Builder) {
        for (name, on) in [("stdin", self.stdin), ("stdout", self.stdout), ("stderr", self.stderr), ("tty", self.tty)] {
            query.switch(name, on);
        }
    }
}

impl LogOptions {
    fn write(&self, query: &mut Builder) {
        query.switch("follow", self.follow);
        query.switch("previous", self.previous);
        query.switch("timestamps", self.timestamps);
        query.number("sinceSeconds", self.since_seconds);
        query.number("tailLines", self.tail_lines);
        query.number("limitBytes", self.limit_bytes);
        for (name, value) in [("sinceTime", &self.since_time), ("stream", &self.stream)] {
            if let Some(value) = value {
                query.set(name, value);
            }
        }
    }
}

fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests;
