//! Network between a syncer and the two API servers: it carries requests, and injects the faults of a script.

mod body;
mod call;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Collected};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;
use tenet_mapper::Side;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service};

use crate::api::{ApiBody, ApiService, Cluster, Status, refusal};
use crate::oracle::Oracle;
use crate::process::Process;
use crate::random::Random;
use crate::script::{Fault, Moment, Planned};
use body::{Watched, WireBody};
use call::Call;

/// Longest time that a request or an answer normally takes, in milliseconds.
const LATENCY: u64 = 8;

/// The two clusters of a world.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// The tenant's.
    pub virt: Cluster,
    /// The host.
    pub host: Cluster,
}

impl Clusters {
    /// Returns the cluster of a side.
    pub fn of(&self, side: Side) -> &Cluster {
        match side {
            Side::Virtual => &self.virt,
            Side::Host => &self.host,
        }
    }
}

/// A fault in force.
#[derive(Clone, Debug)]
struct Active {
    planned: Planned,
    until: Instant,
    random: Random,
    /// Requests or events until it strikes, or that it may still hit.
    left: u64,
}

/// The network of a world.
pub struct Network {
    clusters: Clusters,
    oracle: Arc<Mutex<Oracle>>,
    state: Mutex<State>,
}

struct State {
    latency: Random,
    active: Vec<Active>,
    hits: BTreeMap<&'static str, u64>,
}

/// Course of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Refuse { code: u16, retry_after: u32 },
    Drop,
    LoseAnswer,
    Hang,
    HangAnswer,
    Twice,
    Late(Duration),
    LateAnswer(Duration),
    Stale(u64),
    DieBefore,
    DieAfter,
}

impl Network {
    /// A network without faults.
    pub fn new(clusters: Clusters, oracle: Arc<Mutex<Oracle>>, latency: Random) -> Arc<Self> {
        let state = State { latency, active: Vec::new(), hits: BTreeMap::new() };
        Arc::new(Self { clusters, oracle, state: Mutex::new(state) })
    }

    /// Returns a client of a process for the cluster of a side.
    pub fn client(self: &Arc<Self>, process: &Arc<Process>, user: &str, side: Side) -> kube::Client {
        let wire = Wire {
            network: Arc::clone(self),
            process: Arc::clone(process),
            service: self.clusters.of(side).service(user),
            user: Arc::from(user),
            side,
        };
        kube::Client::new(wire, "default")
    }

    /// Puts a fault in force.
    pub fn begin(&self, planned: Planned) {
        let left = match planned.fault {
            Fault::Crash(Moment::BeforeWrite(n) | Moment::AfterWrite(n) | Moment::Request(n)) => n,
            Fault::Swallow(_, count) => count,
            _ => u64::MAX,
        };
        let until = Instant::now() + Duration::from_millis(planned.length);
        let random = Random::new(planned.seed);
        self.state.lock().active.push(Active { planned, until, random, left });
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state.lock().active.clear();
    }

    /// Notes that a syncer starts.
    pub fn start(&self, user: &str) {
        self.oracle.lock().start(user);
    }

    /// Tells the oracle which ends of host pods a watch has told of.
    fn deliver(&self, user: &str, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"type":"DELETED""#)) {
            let event: Value = serde_json::from_slice(line).unwrap_or_default();
            if let Some(uid) = event["object"]["metadata"]["uid"].as_str() {
                self.oracle.lock().tell_end(user, uid);
            }
        }
    }

    /// Counts a fault that took effect.
    pub fn count(&self, kind: &'static str) {
        *self.state.lock().hits.entry(kind).or_default() += 1;
    }

    /// Returns how often each kind of fault took effect.
    pub fn hits(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().hits.clone()
    }

    /// Answers a request at once, and shows its effect to the oracle.
    fn apply(&self, service: &ApiService, side: Side, parts: &Parts, body: &Bytes) -> Response<ApiBody> {
        let answer = service.answer_to(parts, body);
        self.oracle.lock().observe(&self.clusters, side);
        answer
    }
}

impl State {
    /// Decides about a request.
    fn fate(&mut self, call: &Call) -> Fate {
        let now = Instant::now();
        self.active.retain(|active| active.until > now || matches!(active.planned.fault, Fault::Crash(_)));
        for active in &mut self.active {
            let fate = active.fate(call);
            if fate != Fate::Pass {
                *self.hits.entry(active.planned.fault.kind()).or_default() += 1;
                if matches!(fate, Fate::DieBefore | Fate::DieAfter) {
                    active.left = u64::MAX;
                }
                return fate;
            }
        }
        Fate::Pass
    }
}

impl Active {
    fn fate(&mut self, call: &Call) -> Fate {
        match self.planned.fault {
            Fault::Crash(Moment::BeforeWrite(_)) if call.is_write() => self.strike(Fate::DieBefore),
            Fault::Crash(Moment::AfterWrite(_)) if call.is_write() => self.strike(Fate::DieAfter),
            Fault::Crash(Moment::Request(_)) => self.strike(Fate::DieBefore),
            Fault::Status { side, scope, code, retry_after, share } if side == call.side && call.is_in(scope) => {
                self.share(share, Fate::Refuse { code, retry_after })
            }
            Fault::Drop(side, share) if side == call.side => self.share(share, Fate::Drop),
            Fault::LostAnswer(side, share) if side == call.side => self.share(share, Fate::LoseAnswer),
            Fault::Hang(side, share) if side == call.side => self.share(share, Fate::Hang),
            Fault::HangAnswer(side, share) if side == call.side => self.share(share, Fate::HangAnswer),
            Fault::Twice(side, share) if side == call.side && call.is_write() => self.share(share, Fate::Twice),
            Fault::Late(side, most, share) if side == call.side && call.is_write() => {
                let late = self.random.millis(1, most);
                self.share(share, Fate::Late(late))
            }
            Fault::LateAnswer(side, most, share) if side == call.side && call.is_write() => {
                let late = self.random.millis(1, most);
                self.share(share, Fate::LateAnswer(late))
            }
            Fault::Stale(side, back) if side == call.side && call.may_be_stale() => Fate::Stale(back),
            _ => Fate::Pass,
        }
    }

    fn share(&mut self, percent: u64, fate: Fate) -> Fate {
        if self.random.chance(percent) { fate } else { Fate::Pass }
    }

    fn strike(&mut self, fate: Fate) -> Fate {
        if self.left == u64::MAX {
            return Fate::Pass;
        }
        self.left -= 1;
        if self.left == 0 { fate } else { Fate::Pass }
    }
}

/// The service behind a client: one process and one side.
#[derive(Clone)]
struct Wire {
    network: Arc<Network>,
    process: Arc<Process>,
    service: ApiService,
    user: Arc<str>,
    side: Side,
}

impl Service<Request<Body>> for Wire {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move { wire.carry(request).await })
    }
}

impl Wire {
    async fn carry(self, request: Request<Body>) -> Result<Response<WireBody>, BoxError> {
        let (parts, body) = request.into_parts();
        // The body of a client is in memory, so it is read without waiting.
        let body = body.collect().now_or_never().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
        let call = Call::new(self.side, &parts);
        let (fate, there, back) = {
            let mut state = self.network.state.lock();
            let fate = if self.process.is_dead() { Fate::Hang } else { state.fate(&call) };
            (fate, state.latency.millis(0, LATENCY), state.latency.millis(0, LATENCY))
        };
        sleep(there).await;
        if self.process.is_dead() {
            return pending().await;
        }
        let answer = match fate {
            Fate::Pass => self.apply(&parts, &body),
            Fate::Refuse { code, retry_after } => refusal(&refused(code, retry_after)),
            Fate::Drop => return Err("connection reset before the request was sent".into()),
            Fate::LoseAnswer => {
                self.apply(&parts, &body);
                sleep(back).await;
                return Err("connection reset before the answer came".into());
            }
            Fate::Hang => return pending().await,
            Fate::HangAnswer => {
                self.apply(&parts, &body);
                return pending().await;
            }
            Fate::Twice => {
                let answer = self.apply(&parts, &body);
                self.apply(&parts, &body);
                answer
            }
            Fate::Late(late) => return self.late(parts, body, late).await,
            Fate::LateAnswer(late) => {
                let answer = self.apply(&parts, &body);
                sleep(late).await;
                answer
            }
            Fate::Stale(versions) => {
                let version = self.network.clusters.of(self.side).version().saturating_sub(versions).max(1);
                self.apply(&as_of(parts, version), &body)
            }
            Fate::DieBefore => {
                self.process.kill();
                return pending().await;
            }
            Fate::DieAfter => {
                self.apply(&parts, &body);
                self.process.kill();
                return pending().await;
            }
        };
        sleep(back).await;
        if self.process.is_dead() {
            return pending().await;
        }
        let (network, user) = (Arc::clone(&self.network), Arc::clone(&self.user));
        let watch = call.is_watch().then(|| Watched { network, side: self.side, user, is_of_pods: call.is_of_pods });
        Ok(answer.map(|body| WireBody::new(body, watch)))
    }

    fn apply(&self, parts: &Parts, body: &Bytes) -> Response<ApiBody> {
        self.network.apply(&self.service, self.side, parts, body)
    }

    /// The request arrives later, whether or not anybody still waits for its answer.
    async fn late(self, parts: Parts, body: Bytes, late: Duration) -> Result<Response<WireBody>, BoxError> {
        let arrival = tokio::spawn(async move {
            sleep(late).await;
            self.apply(&parts, &body)
        });
        Ok(arrival.await?.map(|body| WireBody::new(body, None)))
    }
}

/// The same read, as a cache that lags behind answers it.
fn as_of(mut parts: Parts, version: u64) -> Parts {
    let query = parts.uri.query().map(|query| format!("{query}&")).unwrap_or_default();
    if let Ok(uri) = format!("{}?{query}tenetSimAsOf={version}", parts.uri.path()).parse::<Uri>() {
        parts.uri = uri;
    }
    parts
}

fn refused(code: u16, retry_after: u32) -> Status {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "the request is forbidden: the rights are being loaded"),
        404 => ("NotFound", "the server could not find the requested resource"),
        410 => ("Expired", "too old resource version"),
        429 => ("TooManyRequests", "too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    let status = Status::new(code, reason, message);
    if retry_after > 0 { status.retry_after(retry_after) } else { status }
}

/// Treatment of one event of a watch.
enum Delivery {
    Now,
    Later(Duration),
    Lost,
    /// It is lost, and so is the connection at that instant.
    Silent(Instant),
}

impl Network {
    /// Decides about an event of a watch.
    fn delivery(&self, side: Side, is_change: bool) -> Delivery {
        let mut state = self.state.lock();
        let State { active, hits, .. } = &mut *state;
        let now = Instant::now();
        for active in active.iter_mut().filter(|active| active.until > now) {
            let fault = active.planned.fault;
            let delivery = match fault {
                Fault::Silence(of) if of == side => Delivery::Silent(active.until),
                Fault::Slow(of, millis) if of == side => Delivery::Later(Duration::from_millis(millis)),
                Fault::Swallow(of, _) if of == side && is_change && active.left > 0 => {
                    active.left -= 1;
                    Delivery::Lost
                }
                _ => continue,
            };
            *hits.entry(fault.kind()).or_default() += 1;
            return delivery;
        }
        Delivery::Now
    }
}
