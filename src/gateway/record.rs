//! What is kept of a request for its count and its one line in the access log.
//!
//! The record is made with the request, goes into the body of the answer, and is dropped where the
//! exchange ends, wherever that is: then it counts and writes. So no way out leaves no line. A path
//! is logged without its query, and no field but `Host`: nothing secret gets here.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method, StatusCode, Uri, header::HOST, request::Parts};

use super::{
    context::{RequestContext, RequestId},
    failure::tell_of_app,
    handle::Worker,
    judged::Judged,
    routes::RouteEntry,
};
use crate::{
    clock::Moment,
    peer::Transport,
    telemetry::{AccessRecord, Decision, Ended, chain},
    upstream::{Blame, Reached, TunnelEnd, error::BodyError},
};

/// What stands for the status where there was nobody left to answer: nginx made it customary.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What is kept of a request until its exchange ends.
pub(super) struct Record {
    worker: Arc<Worker>,
    id: RequestId,
    route: Option<Arc<RouteEntry>>,
    /// Nothing as long as nobody has been answered.
    said: Option<Said>,
    ended: Option<Ended>,
    /// Where it was at its app.
    reached: Reached,
    /// How much of the answer's body was handed on.
    bytes: u64,
    /// What the line alone needs; nothing if there will be none.
    line: Option<Line>,
}

/// What was answered.
struct Said {
    decision: Decision,
    reason: &'static str,
    status: StatusCode,
    /// How long that took; zero if there will be no line.
    after: Duration,
}

struct Line {
    began: Moment,
    client: IpAddr,
    transport: Transport,
    method: Method,
    uri: Uri,
    /// `Host` as it came.
    host: Option<HeaderValue>,
    judged: Option<Arc<Judged>>,
}

impl Record {
    pub(super) fn new(worker: Arc<Worker>, context: &RequestContext, parts: &Parts) -> Self {
        let line = worker.access().is_on().then(|| Line {
            began: context.began,
            client: context.client.address,
            transport: context.peer.transport,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            host: parts.headers.get(HOST).cloned(),
            judged: None,
        });
        Self {
            worker,
            id: context.id,
            route: None,
            said: None,
            ended: None,
            reached: Reached::default(),
            bytes: 0,
            line,
        }
    }

    /// The route that decides.
    pub(super) fn route(&self) -> Option<&RouteEntry> {
        self.route.as_deref()
    }

    /// This route decides, until a closer one is found.
    pub(super) fn is_of(&mut self, entry: &Arc<RouteEntry>) {
        if !self.route.as_ref().is_some_and(|it| Arc::ptr_eq(it, entry)) {
            self.route = Some(Arc::clone(entry));
        }
    }

    /// This is what the route makes of whoever asks.
    pub(super) fn is_by(&mut self, judged: &Arc<Judged>) {
        if let Some(line) = &mut self.line {
            line.judged = Some(Arc::clone(judged));
        }
    }

    /// The head of the answer is ready.
    pub(super) fn answered(
        &mut self,
        decision: Decision,
        reason: &'static str,
        status: StatusCode,
    ) {
        let clock = self.worker.clock();
        let line = self.line.as_ref();
        let after = line.map(|line| clock.now().elapsed_since(line.began));
        self.said = Some(Said {
            decision,
            reason,
            status,
            after: after.unwrap_or_default(),
        });
    }

    /// The client has left in the middle of its request: whatever is answered meets nobody.
    pub(super) fn left(&mut self) {
        self.ended = Some(Ended::CLIENT_LEFT);
    }

    /// Where the request was at its app in the end.
    pub(super) fn reached(&mut self, reached: Reached) {
        self.reached = reached;
    }

    /// So many bytes of the answer's body were handed on.
    pub(super) fn passed(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The answer has come to its end.
    pub(super) fn whole(&mut self) {
        self.ended.get_or_insert(Ended::Whole);
    }

    /// The answer was broken off; whose fault that is, is told in the log.
    pub(super) fn broken_off(&mut self, error: &BodyError) {
        let reason = error.reason();
        self.ended = Some(Ended::Cut(reason));
        let request_id = self.id.as_str();
        let route = self.route().map(|entry| entry.route.id.0.as_str());
        if error.blame() == Blame::Upstream {
            let at = self.route().map(|entry| (entry, &self.reached));
            tell_of_app(self.worker.metrics(), at, request_id, reason, error);
        } else {
            let error = chain(error);
            tracing::debug!(
                request_id,
                route,
                reason,
                error,
                "an answer was not passed on whole"
            );
        }
    }

    /// What the app had switched to has come to its end.
    pub(super) fn tunnel_ended(&mut self, end: TunnelEnd) {
        match end {
            TunnelEnd::AppLeft(error) => self.broken_off(&BodyError::Switched(error)),
            // As every exchange whose end nobody tells of.
            TunnelEnd::ClientLeft => {}
            TunnelEnd::LeaseOver(end) => self.broken_off(&end.into()),
            TunnelEnd::Whole => self.whole(),
        }
    }

    fn count(&self, decision: Decision, ended: Ended) {
        let Some(entry) = &self.route else {
            return;
        };
        entry.count(decision);
        if let (Some(_), Ended::Cut(reason)) = (&self.said, ended) {
            let route = entry.route.id.0.as_str();
            self.worker.metrics().answer_cut(route, reason);
        }
    }

    fn write(&self, line: &Line, decision: Decision, ended: Ended) {
        let now = self.worker.clock().now();
        let total = now.elapsed_since(line.began);
        let (reason, status, after) = match &self.said {
            Some(said) => (said.reason, said.status.as_u16(), said.after),
            None => (ended.word(), CLIENT_CLOSED_REQUEST, total),
        };
        let asked;
        let host = if let Some(entry) = &self.route {
            Some(entry.host.as_str())
        } else {
            asked = line.asked_host();
            asked.as_deref()
        };
        self.worker.access().write(AccessRecord {
            time: now.wall.to_string(),
            request_id: self.id.as_str(),
            peer: line.client.to_string(),
            protocol: protocol(line.transport),
            method: line.method.as_str(),
            host,
            path: line.uri.path(),
            route: self.route().map(|entry| entry.route.id.0.as_str()),
            decision: decision.word(),
            reason,
            status,
            user: line.judged.as_ref().and_then(|it| it.user()),
            ended: ended.word(),
            bytes: self.bytes,
            micros: micros(after),
            total_micros: micros(total),
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let said = self.said.as_ref();
        let decision = said.map_or(Decision::Left, |said| said.decision);
        let ended = self.ended.unwrap_or(Ended::CLIENT_LEFT);
        self.count(decision, ended);
        if let Some(line) = &self.line {
            self.write(line, decision, ended);
        }
    }
}

impl Line {
    /// The host that a request asked for, as far as it can be told; cut, since anybody writes it.
    fn asked_host(&self) -> Option<String> {
        const LONGEST: usize = 128;
        let host = match (self.uri.authority(), &self.host) {
            (Some(authority), _) => authority.as_str().as_bytes(),
            (None, Some(host)) => host.as_bytes(),
            (None, None) => return None,
        };
        let host = host.get(..LONGEST).unwrap_or(host);
        Some(String::from_utf8_lossy(host).into_owned())
    }
}

/// The protocol as the log names it.
pub(super) fn protocol(transport: Transport) -> &'static str {
    match transport {
        Transport::Http1 | Transport::Plain | Transport::BehindFront(_) => "h1",
        Transport::Http2 => "h2",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
