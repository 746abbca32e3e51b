//! The life of a request, in order: target, host, route, token or session, rules, upstream; and its answer
//! and its one line in the access log.
//!
//! A step either hands on what the next one needs or ends the request. No step may forward anything
//! but the last.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, header::STRICT_TRANSPORT_SECURITY,
    request::Parts, uri::PathAndQuery,
};
use http_body::Body;
use hyper::{body::Incoming, service::Service};

use super::{
    authenticate::{Authenticated, authenticate},
    bearer,
    body::{Followed, GatewayBody, head_only},
    client_address::Origin,
    context::RequestContext,
    error::{GatewayError, Refusal},
    judged::Judged,
    lease::SessionLease,
    page_view::Waiting,
    passing_on::Sender,
    record::{Seen, Trace},
    redirect_to_https::RedirectToHttps,
    routes::{RouteEntry, RouteTable, Site},
    target,
};
use crate::{
    clock::Clock,
    config::{
        listener::{Limits, TrustedProxies},
        route::BrowserAnswer,
    },
    login::{Answer, Login, return_to::ReturnTo},
    peer::Peer,
    reserved::is_own_path,
    session::SessionStore,
    telemetry::{AccessWriter, Decision, Metrics, SharedMetrics},
    upstream::{AnswerBody, UpstreamClient},
};

/// What all threads share.
pub struct Gateway {
    table: Arc<ArcSwap<RouteTable>>,
    login: Login,
    store: Arc<dyn SessionStore>,
    clock: Clock,
    metrics: SharedMetrics,
    access: AccessWriter,
    rules: HouseRules,
}

/// What holds for every request, whatever its route.
#[derive(Clone, Debug)]
pub struct HouseRules {
    /// Our `Strict-Transport-Security`; `None` sends none.
    pub hsts: Option<HeaderValue>,
    /// How much is taken from a client.
    pub limits: Limits,
    /// Fronts that are believed when they say for whom they speak.
    pub trusted_proxies: TrustedProxies,
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
    origin: Arc<Origin>,
}

/// An answer with what is said of it.
pub(super) struct Outcome {
    pub(super) response: Response<GatewayBody>,
    pub(super) decision: Decision,
    pub(super) reason: &'static str,
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
        rules: HouseRules,
    ) -> Self {
        let table = Arc::new(ArcSwap::from_pointee(table));
        Self {
            table,
            login,
            store,
            clock,
            metrics,
            access,
            rules,
        }
    }

    /// The service of the listener without TLS.
    #[must_use]
    pub fn redirect_to_https(&self) -> RedirectToHttps {
        RedirectToHttps::new(Arc::clone(&self.table), self.rules.limits.target_bytes)
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
        let origin = Origin::new(&peer, &self.gateway.rules.trusted_proxies);
        ConnectionService {
            worker: Arc::clone(self),
            origin: Arc::new(origin),
            peer: Arc::new(peer),
        }
    }

    pub(super) fn login(&self) -> &Login {
        &self.gateway.login
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.gateway.metrics
    }

    pub(super) fn access(&self) -> &AccessWriter {
        &self.gateway.access
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.gateway.clock
    }

    pub(super) fn hsts(&self) -> Option<&HeaderValue> {
        self.gateway.rules.hsts.as_ref()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.gateway.rules.limits
    }

    pub(super) fn upstream(&self) -> &UpstreamClient {
        &self.upstream
    }

    pub(super) fn store(&self) -> &dyn SessionStore {
        self.gateway.store.as_ref()
    }

    /// Answers a request, whatever happens on the way.
    async fn handle(
        &self,
        peer: &Peer,
        origin: &Origin,
        request: Request<Incoming>,
    ) -> Response<GatewayBody> {
        let (parts, body) = request.into_parts();
        let client = origin.client(&parts.headers, &self.gateway.rules.trusted_proxies);
        let context = RequestContext::new(peer, client, self.clock());
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
        target::check(&parts, self.limits().target_bytes)?;
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
            let answer = self.pass_on(context, &table, entry, None, request).await?;
            let answer = self.followed(context, entry, answer);
            return Ok(Outcome::forwarded(answer, Decision::Public, "public_rule"));
        }
        if let Some(token) = bearer::presented(site, entry, &parts.headers, path)? {
            let (entry, request) = (Arc::clone(entry), Request::from_parts(parts, body));
            let passed = self.bring_in(context, &table, &entry, token, request, trace);
            return passed.await;
        }
        let authenticated = authenticate(self.store(), &parts.headers, site, context.began)?;
        let session = match &authenticated {
            Authenticated::Session(session) => session,
            Authenticated::Nobody(reason) => {
                let mut answer = self.needs_sign_in(context, site, entry, &parts, reason);
                bearer::offer(entry, &mut answer);
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
        let lease = SessionLease::of(Arc::clone(session), self.clock().clone());
        let sender = Some(Sender { identity, lease });
        let answer = self
            .pass_on(context, &table, entry, sender, request)
            .await?;
        let answer = self.followed(context, entry, answer);
        Ok(Outcome::forwarded(answer, Decision::Allow, "session"))
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

    /// An answer whose body is followed to its end.
    pub(super) fn followed(
        &self,
        context: &RequestContext<'_>,
        entry: &Arc<RouteEntry>,
        answer: Response<AnswerBody>,
    ) -> Response<GatewayBody> {
        let metrics = Arc::clone(&self.gateway.metrics);
        answer.map(|body| {
            GatewayBody::Answer(Followed::new(body, context.id, Arc::clone(entry), metrics))
        })
    }

    /// An answer of ours, with the headers that every answer has.
    pub(super) fn own(&self, answer: Answer) -> Outcome {
        let Answer {
            mut response,
            decision,
            reason,
        } = answer;
        if let Some(hsts) = self.hsts() {
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
    let site = table
        .site(&named.host, named.port)
        .ok_or(Refusal::HostUnknown)?;
    match peer.server_name.as_deref() {
        Some(name) if name != named.host => Err(Refusal::HostNotOfConnection),
        _ => Ok(site),
    }
}

impl Outcome {
    pub(super) fn forwarded(
        response: Response<GatewayBody>,
        decision: Decision,
        reason: &'static str,
    ) -> Self {
        Self {
            response,
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
        let origin = Arc::clone(&self.origin);
        Box::pin(async move { Ok(worker.handle(&peer, &origin, request).await) })
    }
}
