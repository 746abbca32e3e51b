//! The plain listener: sends whoever only reads (GET, HEAD) to HTTPS and serves nothing.
//!
//! What else comes without TLS is refused rather than redirected: its body, cookies and tokens have
//! been on the wire in the clear already, and the client should learn so.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH},
    request::Parts,
};
use hyper::{body::Incoming, service::Service};

use super::{
    client_address::{Client, Origin},
    context::RequestContext,
    error::Refusal,
    routes::RouteTable,
    target,
};
use crate::{
    clock::Clock,
    head_guard::{HeadFault, RefuseHead},
    pages::{self, PageResponse},
    peer::Peer,
    telemetry::{AccessRecord, AccessWriter, Decision, Ended, SharedMetrics},
};

/// What stands in the log for what nobody knows.
const UNKNOWN: &str = "-";

/// What all connections of the plain listener share; clones are the same.
#[derive(Clone)]
pub struct RedirectToHttps(Arc<Shared>);

pub(super) struct Shared {
    pub(super) table: Arc<ArcSwap<RouteTable>>,
    pub(super) clock: Clock,
    pub(super) metrics: SharedMetrics,
    pub(super) access: AccessWriter,
}

/// Answers every request of one connection of the plain listener.
pub struct Redirects {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    origin: Origin,
}

/// What the log says about a request.
struct Line<'a> {
    method: &'a str,
    host: Option<Cow<'a, str>>,
    path: &'a str,
    decision: Decision,
    reason: &'static str,
    status: StatusCode,
}

impl RedirectToHttps {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The service of one connection.
    #[must_use]
    pub fn service(&self, peer: Peer) -> Redirects {
        Redirects {
            shared: Arc::clone(&self.0),
            origin: Origin::new(&peer),
            peer: Arc::new(peer),
        }
    }
}

impl Service<Request<Incoming>> for Redirects {
    type Response = PageResponse;
    type Error = Infallible;
    type Future = Ready<Result<PageResponse, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let request = request.into_parts().0;
        let shared = &self.shared;
        let table = shared.table.load_full();
        let client = self
            .origin
            .client(&request.headers, &table.house.trusted_proxies);
        let context = RequestContext::new(Arc::clone(&self.peer), client, table, &shared.clock);
        let (response, line) = Shared::answer(&context.table, &request);
        shared.record(&context, &line);
        ready(Ok(response))
    }
}

impl RefuseHead for Redirects {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        let client = Client::of_peer(self.peer.address.ip());
        let table = self.shared.table.load_full();
        let clock = &self.shared.clock;
        let context = RequestContext::new(Arc::clone(&self.peer), client, table, clock);
        let status = fault.status();
        let line = Line {
            method: UNKNOWN,
            host: None,
            path: UNKNOWN,
            decision: Decision::Refuse,
            reason: fault.reason(),
            status,
        };
        self.shared.record(&context, &line);
        let mut response = pages::empty(status).map(|_| Bytes::new());
        let length = HeaderValue::from(0);
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response
    }
}

impl Shared {
    fn answer<'a>(table: &RouteTable, request: &'a Parts) -> (PageResponse, Line<'a>) {
        let named = target::named_host(&request.uri, &request.headers);
        let host = named.as_ref().ok().map(|named| named.host.clone());
        let (response, decision, reason) = match Self::location(table, request, named) {
            Ok(location) => (
                pages::redirect(StatusCode::PERMANENT_REDIRECT, &location),
                Decision::Own,
                "redirect_to_https",
            ),
            Err(Unsent::Refused(refusal)) => {
                let mut response = pages::empty(refusal.status());
                if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                    let allow = HeaderValue::from_static("GET, HEAD");
                    response.headers_mut().insert(ALLOW, allow);
                }
                (response, Decision::Refuse, refusal.reason())
            }
            Err(Unsent::WithoutTls) => {
                let response = pages::empty(StatusCode::FORBIDDEN);
                (response, Decision::Refuse, "without_tls")
            }
        };
        let line = Line {
            method: request.method.as_str(),
            host,
            path: request.uri.path(),
            decision,
            reason,
            status: response.status(),
        };
        (response, line)
    }

    /// Where a request is sent to.
    fn location(
        table: &RouteTable,
        request: &Parts,
        named: Result<target::Named<'_>, Refusal>,
    ) -> Result<String, Unsent> {
        target::check_method(&request.method)?;
        target::check(request, table.house.limits.target_bytes)?;
        let host = named?.host;
        let authority = table.first_authority_of(&host);
        let authority = authority.ok_or(Refusal::HostUnknown)?;
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return Err(Unsent::WithoutTls);
        }
        let target = request.uri.path_and_query();
        let target = target.map_or("/", http::uri::PathAndQuery::as_str);
        Ok(format!("https://{}{target}", authority.in_https_url()))
    }

    /// Counts a request that was refused, and writes its line.
    fn record(&self, context: &RequestContext, line: &Line<'_>) {
        if line.decision == Decision::Refuse {
            self.metrics.refused(line.reason);
        }
        if !self.access.is_on() {
            return;
        }
        let now = self.clock.now();
        let micros = now.elapsed_since(context.began).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.access.write(AccessRecord {
            time: now.wall.to_string(),
            request_id: context.id.as_str(),
            peer: context.client.address.to_string(),
            protocol: "h1",
            method: line.method,
            host: line.host.as_deref(),
            path: line.path,
            route: None,
            decision: line.decision.word(),
            reason: line.reason,
            status: line.status.as_u16(),
            user: None,
            // Its answers have no body.
            ended: Ended::Whole.word(),
            bytes: 0,
            micros,
            total_micros: micros,
        });
    }
}

/// Why a request is not sent to HTTPS.
enum Unsent {
    Refused(Refusal),
    /// What it brings should not have been sent in the clear.
    WithoutTls,
}

impl From<Refusal> for Unsent {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
