//! The life of a request, in order: target, host, route, session, rules, upstream; and its answer
//! and its one line in the access log.
//!
//! A step either hands on what the next one needs or ends the request. No step may forward anything
//! but the last.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{HOST, STRICT_TRANSPORT_SECURITY},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;
use hyper::{body::Incoming, service::Service};

use super::{
    authenticate::{Authenticated, authenticate},
    body::{GatewayBody, head_only},
    context::RequestContext,
    error::{GatewayError, Refusal},
    judged::Judged,
    lease::SessionLease,
    page_view::Waiting,
    redirect_to_https::RedirectToHttps,
    routes::{RouteEntry, RouteTable, Site},
    target,
};
use crate::{
    clock::Clock,
    config::route::BrowserAnswer,
    login::{Answer, Login, return_to::ReturnTo},
    pages::Language,
    peer::{Peer, Transport},
    reserved::is_own_path,
    session::{Session, SessionStore},
    telemetry::{AccessRecord, AccessWriter, Decision, Metrics, SharedMetrics},
    upstream::{
        AnswerBody, Forwarding, RenderedIdentity, UpstreamClient, UpstreamError,
        answer_headers::AnswerFacts,
        forward::{DEFAULT_BODY_IDLE, forward},
        headers::RequestFacts,
    },
};

/// What all threads share.
pub struct Gateway {
    table: Arc<ArcSwap<RouteTable>>,
    login: Login,
    store: Arc<dyn SessionStore>,
    pub(super) clock: Clock,
    pub(super) metrics: SharedMetrics,
    pub(super) access: AccessWriter,
    hsts: Option<HeaderValue>,
}

/// One data thread's gateway: what is shared, and connections to the apps of its own.
pub struct Worker {
    pub(super) gateway: Arc<Gateway>,
    upstream: UpstreamClient,
}

/// The worker, for one connection.
pub struct ConnectionService {
    pub(super) worker: Arc<Worker>,
    pub(super) peer: Arc<Peer>,
}

/// What the log says about a request; filled in as the steps go by.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) route: Option<Arc<RouteEntry>>,
    user: Option<String>,
}

/// What is still wanted of a request's head once it is on its way to the app.
pub(super) struct Seen {
    method: Method,
    uri: Uri,
    /// `Host` as it came; for the log alone.
    host: Option<HeaderValue>,
    pub(super) waiting: Waiting,
    pub(super) language: Language,
}

/// An answer with what is said of it.
pub(super) struct Outcome {
    pub(super) response: Response<GatewayBody>,
    decision: Decision,
    reason: &'static str,
}

impl Gateway {
    /// A gateway that starts with `table`.
    #[must_use]
    pub fn new(
        table: RouteTable,
        login: Login,
        store: Arc<dyn SessionStore>,
        clock: Clock,
        metrics: SharedMetrics,
        access: AccessWriter,
        hsts: Option<HeaderValue>,
    ) -> Self {
        let table = Arc::new(ArcSwap::from_pointee(table));
        Self {
            table,
            login,
            store,
            clock,
            metrics,
            access,
            hsts,
        }
    }

    /// The service of the listener without TLS.
    #[must_use]
    pub fn redirect_to_https(&self) -> RedirectToHttps {
        RedirectToHttps(Arc::clone(&self.table))
    }
}

impl Worker {
    /// A worker for one data thread.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        let upstream = UpstreamClient::new(gateway.clock.clone());
        Arc::new(Self { gateway, upstream })
    }

    /// The service of one connection.
    #[must_use]
    pub fn service(self: &Arc<Self>, peer: Peer) -> ConnectionService {
        ConnectionService {
            worker: Arc::clone(self),
            peer: Arc::new(peer),
        }
    }

    pub(super) fn login(&self) -> &Login {
        &self.gateway.login
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.gateway.metrics
    }

    pub(super) fn store(&self) -> &dyn SessionStore {
        self.gateway.store.as_ref()
    }

    /// Answers a request, whatever happens on the way.
    async fn handle(&self, peer: &Peer, request: Request<Incoming>) -> Response<GatewayBody> {
        let context = RequestContext::new(peer, &self.gateway.clock);
        let (parts, body) = request.into_parts();
        let seen = Seen::of(&parts);
        let mut trace = Trace::default();
        // A fault in one request is a fault of one request.
        let steps = AssertUnwindSafe(self.steps(&context, parts, body, &mut trace)).catch_unwind();
        let outcome = match steps.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => self.failed(&context, &seen, &trace, &error),
            Err(_) => {
                self.gateway.metrics.panicked();
                self.failed(&context, &seen, &trace, &GatewayError::Internal)
            }
        };
        self.record(&context, &seen, &trace, &outcome);
        if seen.method == Method::HEAD {
            return head_only(outcome.response);
        }
        outcome.response
    }

    /// The steps, in order.
    async fn steps(
        &self,
        context: &RequestContext<'_>,
        parts: Parts,
        body: Incoming,
        trace: &mut Trace,
    ) -> Result<Outcome, GatewayError> {
        let table = self.gateway.table.load_full();
        target::check_method(&parts.method)?;
        let site = site_of(&table, context.peer, &parts.uri, &parts.headers)?;
        // Until the path is judged, what is said is said in the name of the host.
        trace.route = Some(Arc::clone(site.widest_route()));
        target::check(&parts.method, &parts.uri, parts.version, &parts.headers)?;
        let path = parts.uri.path();
        if is_own_path(path) {
            let answer = self.answer_own(context, &table, site, &parts, body).await?;
            return Ok(self.own(answer));
        }
        let entry = site.route(path).ok_or(GatewayError::NoRoute)?;
        trace.route = Some(Arc::clone(entry));
        if site.is_public(entry, &parts.method, path) {
            let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
            if reads && !body.is_end_stream() {
                // Some apps would take it for a request of its own (S-211).
                return Err(Refusal::Body.into());
            }
            let request = Request::from_parts(parts, body);
            let response = self.forward(context, &table, entry, None, request).await?;
            return Ok(Outcome::forwarded(
                response,
                Decision::Public,
                "public_rule",
            ));
        }
        let authenticated = authenticate(self.store(), &parts.headers, site, context.began)?;
        let session = match &authenticated {
            Authenticated::Session(session) => session,
            Authenticated::Nobody(reason) => {
                let answer = self.needs_sign_in(context, site, entry, &parts, reason);
                return Ok(self.own(answer));
            }
        };
        let judged = Judged::of(&table, entry, session);
        trace.user = judged.user().map(str::to_owned);
        let identity = judged.allowed()?;
        for other in site.also_judged(entry, path) {
            Judged::of(&table, other, session).allowed()?;
        }
        let request = Request::from_parts(parts, body);
        let person = Some((identity, session));
        let response = self
            .forward(context, &table, entry, person, request)
            .await?;
        Ok(Outcome::forwarded(response, Decision::Allow, "session"))
    }

    /// A request without a session: redirected, shown a page, or told so.
    fn needs_sign_in(
        &self,
        context: &RequestContext<'_>,
        site: &Site,
        entry: &RouteEntry,
        parts: &Parts,
        reason: &'static str,
    ) -> Answer {
        let waiting = Waiting::of(&parts.method, &parts.headers);
        let nobody = Authenticated::Nobody(reason);
        let mut door = context.door(site, entry, &parts.headers, waiting, &nobody);
        let here = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let redirects = waiting == Waiting::PageView && parts.method == Method::GET;
        match (waiting, entry.route.browser) {
            (Waiting::PageView, BrowserAnswer::Redirect) if redirects => self
                .login()
                .redirect_to_provider(&door, &ReturnTo::new(here), reason),
            (Waiting::PageView | Waiting::Navigation, BrowserAnswer::Unauthorized) => {
                door.wants_page = false;
                self.login().ask(&door, &ReturnTo::new(here), reason)
            }
            // A form's address is no page to come back to.
            (Waiting::Navigation, _) => self.login().ask(&door, &ReturnTo::default(), reason),
            _ => self.login().ask(&door, &ReturnTo::new(here), reason),
        }
    }

    async fn forward(
        &self,
        context: &RequestContext<'_>,
        table: &RouteTable,
        entry: &RouteEntry,
        person: Option<(&RenderedIdentity, &Arc<Session>)>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let clock = &self.gateway.clock;
        let facts = RequestFacts {
            peer: context.peer.address.ip(),
            request_id: &context.id.header_value(),
            identity: person.map(|(identity, _)| identity),
        };
        let forwarding = Forwarding {
            client: &self.upstream,
            target: &entry.target,
            removal: &table.removal,
            facts,
            lease: person.map(|(_, session)| SessionLease::of(Arc::clone(session), clock.clone())),
            body_idle: DEFAULT_BODY_IDLE,
            answer: AnswerFacts {
                session_decided: person.is_some(),
                hsts: self.gateway.hsts.as_ref(),
            },
        };
        let Some((_, session)) = person else {
            return Ok(forward(request, forwarding).await?);
        };
        tokio::select! {
            biased;
            answer = forward(request, forwarding) => Ok(answer?),
            () = over(session, clock) => Err(UpstreamError::LeaseOver.into()),
        }
    }

    /// An answer of ours, with the headers that every answer has.
    pub(super) fn own(&self, answer: Answer) -> Outcome {
        let Answer {
            mut response,
            decision,
            reason,
        } = answer;
        if let Some(hsts) = &self.gateway.hsts {
            response
                .headers_mut()
                .insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        Outcome {
            response: response.map(GatewayBody::Own),
            decision,
            reason,
        }
    }

    fn record(&self, context: &RequestContext<'_>, seen: &Seen, trace: &Trace, outcome: &Outcome) {
        if let Some(entry) = &trace.route {
            entry.count(outcome.decision);
        }
        if !self.gateway.access.is_on() {
            return;
        }
        let asked = || seen.asked_host();
        let host = trace
            .route
            .as_ref()
            .map_or_else(asked, |it| Some(it.host.clone()));
        let now = self.gateway.clock.now();
        let micros = now.elapsed_since(context.began).as_micros();
        self.gateway.access.write(&AccessRecord {
            time: now.wall.to_string(),
            request_id: context.id.as_str(),
            peer: context.peer.address.ip().to_canonical().to_string(),
            protocol: match context.peer.transport {
                Transport::Http1 | Transport::Plain => "h1",
                Transport::Http2 => "h2",
            },
            method: seen.method.as_str(),
            host: host.as_deref(),
            path: seen.uri.path(),
            route: trace.route.as_ref().map(|entry| entry.route.id.0.as_str()),
            decision: outcome.decision.word(),
            reason: outcome.reason,
            status: outcome.response.status().as_u16(),
            user: trace.user.as_deref(),
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        });
    }
}

/// Ends with the session, within a second: also when a clock steps or somebody ends it.
async fn over(session: &Session, clock: &Clock) {
    loop {
        let now = clock.now();
        if !session.is_live(now) {
            return;
        }
        let remaining = session.deadline().remaining(now);
        clock.sleep(remaining.min(Duration::from_secs(1))).await;
    }
}

/// The site that a request is for: of the host it names, which must be the one that the connection
/// was made for (RFC 9110 7.4; S-224).
fn site_of<'a>(
    table: &'a RouteTable,
    peer: &Peer,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<&'a Site, Refusal> {
    let named = target::named_host(uri, headers)?;
    if peer
        .server_name
        .as_deref()
        .is_some_and(|name| name != named.host)
    {
        return Err(Refusal::Misdirected);
    }
    table
        .site(&named.host, named.port)
        .ok_or(Refusal::Misdirected)
}

impl Seen {
    fn of(parts: &Parts) -> Self {
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            host: parts.headers.get(HOST).cloned(),
            waiting: Waiting::of(&parts.method, &parts.headers),
            language: Language::from_accept_language(&parts.headers),
        }
    }
}

impl Seen {
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

impl Outcome {
    fn forwarded(response: Response<AnswerBody>, decision: Decision, reason: &'static str) -> Self {
        Self {
            response: response.map(GatewayBody::Answer),
            decision,
            reason,
        }
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (worker, peer) = (Arc::clone(&self.worker), Arc::clone(&self.peer));
        Box::pin(async move { Ok(worker.handle(&peer, request).await) })
    }
}
