//! The life of a request, in order: target, host, route, token or session, rules, upstream; and its answer
//! and its one line in the access log.
//!
//! A step either hands on what the next one needs or ends the request. No step may forward anything
//! but the last.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{ACCEPT_LANGUAGE, STRICT_TRANSPORT_SECURITY},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;
use hyper::{body::Incoming, service::Service};

use super::{
    authenticate::{Authenticated, authenticate},
    bearer, behind_front,
    body::{GatewayBody, Source, head_only},
    client_address::Origin,
    context::RequestContext,
    error::{GatewayError, Refusal},
    house::HouseRules,
    judged::Judged,
    lease::Sender,
    page_view::Waiting,
    record::Record,
    redirect_to_https::{self, RedirectToHttps},
    routes::{RouteEntry, RouteTable, Site},
    target, websocket,
};
use crate::{
    clock::Clock,
    config::route::BrowserAnswer,
    login::{Answer, Login, return_to::ReturnTo},
    pages::Language,
    peer::Peer,
    reserved::is_own_path,
    session::SessionStore,
    telemetry::{AccessWriter, Decision, Metrics, Seldom, SharedMetrics},
    upstream::{Seats, UpstreamClient},
};

/// What all threads share.
pub struct Gateway {
    table: Arc<ArcSwap<RouteTable>>,
    login: Login,
    store: Arc<dyn SessionStore>,
    clock: Clock,
    metrics: SharedMetrics,
    access: AccessWriter,
    seats: Arc<Seats>,
    silent_front: Seldom,
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
    origin: Origin,
}

/// An answer with what is said of it.
pub(super) struct Outcome {
    pub(super) response: Response<Source>,
    pub(super) decision: Decision,
    pub(super) reason: &'static str,
}

/// What is still wanted of a request's head once it is on its way to the app.
pub(super) struct Seen {
    is_head: bool,
    pub(super) waiting: Waiting,
    /// The lines of `Accept-Language`; nobody sends more.
    languages: [Option<HeaderValue>; 2],
}

impl Seen {
    fn of(parts: &Parts) -> Self {
        let mut lines = parts.headers.get_all(ACCEPT_LANGUAGE).iter();
        Self {
            is_head: parts.method == Method::HEAD,
            waiting: Waiting::of(&parts.method, &parts.headers),
            languages: [lines.next().cloned(), lines.next().cloned()],
        }
    }

    /// The language of a page, which few requests need.
    pub(super) fn language(&self) -> Language {
        Language::of_wishes(self.languages.iter().flatten())
    }
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
        seats: Arc<Seats>,
    ) -> Self {
        let table = Arc::new(ArcSwap::from_pointee(table));
        for word in GatewayError::refusals() {
            metrics.expect_refusal(word);
        }
        Self {
            table,
            login,
            store,
            clock,
            metrics,
            access,
            seats,
            silent_front: Seldom::default(),
        }
    }

    /// Goes by `table` from now on. Requests that have begun keep the one they began with; what
    /// streams is judged by this one.
    pub fn swap(&self, table: RouteTable) {
        self.table.store(Arc::new(table));
    }

    /// The service of the listener without TLS.
    #[must_use]
    pub fn redirect_to_https(&self) -> RedirectToHttps {
        RedirectToHttps::new(redirect_to_https::Shared {
            table: Arc::clone(&self.table),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            access: self.access.clone(),
        })
    }
}

impl Worker {
    /// A worker for one data thread.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        let seats = Arc::clone(&gateway.seats);
        let upstream = UpstreamClient::new(gateway.clock.clone(), seats);
        Arc::new(Self { gateway, upstream })
    }

    /// The service of one connection.
    #[must_use]
    pub fn service(self: &Arc<Self>, peer: Peer) -> ConnectionService {
        ConnectionService {
            worker: Arc::clone(self),
            origin: Origin::new(&peer),
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

    /// The table in force, to be swapped at any time.
    pub(super) fn tables(&self) -> &Arc<ArcSwap<RouteTable>> {
        &self.gateway.table
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
        context: RequestContext,
        parts: Parts,
        body: Incoming,
        mut record: Record,
    ) -> Response<GatewayBody> {
        let seen = Seen::of(&parts);
        // A fault in one request is a fault of one request.
        let steps = AssertUnwindSafe(self.steps(&context, parts, body, &mut record)).catch_unwind();
        let outcome = match steps.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => self.failed(&context, &seen, &record, &error),
            Err(_) => {
                self.gateway.metrics.panicked();
                self.failed(&context, &seen, &record, &GatewayError::Internal)
            }
        };
        let Outcome {
            mut response,
            decision,
            reason,
        } = outcome;
        if seen.is_head {
            response = head_only(response);
        }
        if decision == Decision::Left {
            record.left();
        } else {
            record.answered(decision, reason, response.status());
        }
        record.reached(context.reached);
        let (parts, source) = response.into_parts();
        if let Source::Switched(tunnel) = source {
            return websocket::hand_over(parts, *tunnel, record, &self.gateway.metrics);
        }
        Response::from_parts(parts, GatewayBody::new(source, record))
    }

    /// The steps, in order.
    async fn steps(
        &self,
        context: &RequestContext,
        parts: Parts,
        body: Incoming,
        record: &mut Record,
    ) -> Result<Outcome, GatewayError> {
        let table = &*context.table;
        behind_front::check(&context.peer, &parts.headers, &table.house.trusted_proxies)
            .inspect_err(|refusal| self.tell_of_front(*refusal, context))?;
        target::check_method(&parts.method)?;
        let site = site_of(table, &context.peer, &parts.uri, &parts.headers)?;
        // Until the path is judged, what is said is said in the name of the host.
        record.is_of(site.widest_route());
        target::check(&parts, context.house().limits.target_bytes)?;
        let path = parts.uri.path();
        if is_own_path(path) {
            websocket::check_own(&parts)?;
            // On the heap, so that no other request has room for it.
            let answering = Box::pin(self.answer_own(context, table, site, &parts, body));
            let answer = answering.await?;
            return Ok(Outcome::own(answer, context.house()));
        }
        let entry = site.route(path).ok_or(GatewayError::NoRoute)?;
        record.is_of(entry);
        if site.is_public(entry, &parts.method, path) {
            let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
            if reads && !body.is_end_stream() {
                // Some apps would take it for a request of its own (S-211).
                return Err(Refusal::Body.into());
            }
            let request = Request::from_parts(parts, body);
            let answer = self.pass_on(context, table, entry, None, request).await?;
            return Ok(Outcome::forwarded(answer, Decision::Public, "public_rule"));
        }
        if let Some(token) = bearer::presented(site, entry, &parts.headers, path)? {
            let request = Request::from_parts(parts, body);
            return Box::pin(self.bring_in(context, entry, token, request, record)).await;
        }
        let authenticated = authenticate(self.store(), &parts.headers, site, context.began)?;
        let session = match &authenticated {
            Authenticated::Session(session) => session,
            Authenticated::Nobody(reason) => {
                let mut answer = self.needs_sign_in(context, site, entry, &parts, reason);
                bearer::offer(entry, &mut answer);
                return Ok(Outcome::own(answer, context.house()));
            }
        };
        let judged = Judged::of(table, entry, session);
        record.is_by(&judged);
        let identity = judged.allowed()?;
        for other in site.also_judged(entry, path) {
            Judged::of(table, other, session).allowed()?;
        }
        let request = Request::from_parts(parts, body);
        let sender = Some((identity, Sender::Session(Arc::clone(session))));
        let answer = self.pass_on(context, table, entry, sender, request).await?;
        Ok(Outcome::forwarded(answer, Decision::Allow, "session"))
    }

    /// A front that is not set up as it should be keeps everybody out.
    fn tell_of_front(&self, refusal: Refusal, context: &RequestContext) {
        if refusal == Refusal::FrontWithoutHttps
            && self.gateway.silent_front.is_due(context.began.wall)
        {
            tracing::warn!(
                request_id = context.id.as_str(),
                client = %context.client.address,
                "a front on [listen] plain does not say X-Forwarded-Proto: https, exactly once, so its \
                 requests are refused: let it set that field for whoever came over HTTPS, and for \
                 nobody else (nginx: proxy_set_header X-Forwarded-Proto $scheme)"
            );
        }
    }

    /// A request without a session: redirected, shown a page, or told so.
    fn needs_sign_in(
        &self,
        context: &RequestContext,
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
    /// An answer of ours, with the headers that every answer has.
    pub(super) fn own(answer: Answer, house: &HouseRules) -> Self {
        let Answer {
            mut response,
            decision,
            reason,
        } = answer;
        if let Some(hsts) = &house.hsts {
            response
                .headers_mut()
                .insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        Self {
            response: response.map(Source::Own),
            decision,
            reason,
        }
    }

    pub(super) fn forwarded(
        answer: Response<Source>,
        decision: Decision,
        reason: &'static str,
    ) -> Self {
        Self {
            response: answer,
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
        let worker = Arc::clone(&self.worker);
        let (mut parts, body) = request.into_parts();
        websocket::unfold(&mut parts);
        // Loaded once: whatever is swapped meanwhile, this request goes by one configuration.
        let table = worker.gateway.table.load_full();
        let client = self
            .origin
            .client(&parts.headers, &table.house.trusted_proxies);
        let context = RequestContext::new(Arc::clone(&self.peer), client, table, worker.clock());
        // From here on the request leaves its line, whatever becomes of it.
        let record = Record::new(Arc::clone(&worker), &context, &parts);
        Box::pin(async move { Ok(worker.handle(context, parts, body, record).await) })
    }
}
