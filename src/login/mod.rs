//! The endpoints below `/.vestibule/`: signing in, signing out, and who one is.
//!
//! Uses the relying party's protocol (`oidc`), the session store and our pages; knows no route table
//! and no upstream. Everything here that a browser brings back is checked locally before anything
//! is sent to a provider.

mod callback;
mod fault;
mod inherit;
mod logout;
mod me;
pub mod memory;
mod provider_logout;
pub mod return_to;
mod start;
pub mod transaction;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE};
use tokio::{runtime::Handle, sync::Semaphore};

use self::return_to::{ReturnTo, login_path};
use crate::{
    clock::{Clock, Moment},
    config::{route::Authority, session::SessionLifetime},
    identity::RouteId,
    key_ring::SharedKeyRing,
    oidc::RelyingParty,
    pages::{self, Notice, PageContext, PageResponse},
    session::{Session, SessionStore},
    telemetry::{Decision, Seldom, SharedMetrics},
};

pub use self::{me::UserName, memory::Memory};

/// Most codes that are redeemed at once; beyond that a browser is asked to come back.
const MAX_REDEMPTIONS: usize = 64;

/// What the endpoints share.
pub struct Login {
    store: Arc<dyn SessionStore>,
    key_ring: SharedKeyRing,
    clock: Clock,
    metrics: SharedMetrics,
    memory: Arc<Memory>,
    /// When a cookie of another vestibule was last warned about.
    foreign_ring: Seldom,
    redemptions: Arc<Semaphore>,
    /// Where requests to a provider run, so that they never hold up a data thread.
    control: Handle,
}

/// One request to an endpoint, or one that needs a sign-in: what is known about it.
pub struct Door<'a> {
    /// The host it came to; one that a route has.
    pub authority: &'a Authority,
    /// The provider of that host.
    pub relying_party: &'a Arc<RelyingParty>,
    /// How people call the provider.
    pub provider_title: &'a str,
    /// The route it is about.
    pub route: &'a RouteId,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Whether a page is the right answer, or a problem for a machine.
    pub wants_page: bool,
    /// What a page needs to know.
    pub page: PageContext<'a>,
    /// When it came.
    pub now: Moment,
    /// How long a session lives that begins with it.
    pub session_lifetime: SessionLifetime,
    /// The live session it presented.
    pub session: Option<&'a Arc<Session>>,
}

/// What an endpoint answers, and what the log says of it.
pub struct Answer {
    /// The answer.
    pub response: PageResponse,
    /// What was decided.
    pub decision: Decision,
    /// Why, in one word of the code's own.
    pub reason: &'static str,
}

impl Login {
    /// Endpoints that keep sessions in `store` and talk to providers on `control`.
    #[must_use]
    pub fn new(
        store: Arc<dyn SessionStore>,
        key_ring: SharedKeyRing,
        clock: Clock,
        metrics: SharedMetrics,
        control: Handle,
    ) -> Self {
        Self {
            store,
            key_ring,
            clock,
            metrics,
            memory: Arc::default(),
            foreign_ring: Seldom::default(),
            redemptions: Arc::new(Semaphore::new(MAX_REDEMPTIONS)),
            control,
        }
    }

    /// The same endpoints with a memory that outlives them.
    #[must_use]
    pub fn with_memory(self, memory: Arc<Memory>) -> Self {
        Self { memory, ..self }
    }

    /// Says that a sign-in is needed, without beginning one: a page with one button, or a problem
    /// for whoever cannot use a page. Sets no cookie.
    #[must_use]
    pub fn ask(&self, door: &Door<'_>, return_to: &ReturnTo, reason: &'static str) -> Answer {
        let login = login_path(return_to);
        let provider = door.provider_title;
        let notice = Notice::SignIn {
            provider,
            login: &login,
        };
        door.notice(&notice, Decision::Login, reason)
    }
}

impl Door<'_> {
    /// A page of ours as the answer; a problem instead for whoever cannot use a page.
    fn notice(&self, notice: &Notice<'_>, decision: Decision, reason: &'static str) -> Answer {
        let response = pages::tell(notice, self.wants_page, reason, &self.page);
        Answer {
            response,
            decision,
            reason,
        }
    }

    /// The origin of the host, as a browser writes it.
    fn origin(&self) -> String {
        format!("https://{}", self.authority.in_https_url())
    }
}

impl Answer {
    /// A redirect with 303, so that whatever came before it is not sent again (RFC 9700 4.12).
    fn see_other(location: &str, reason: &'static str) -> Self {
        let response = pages::redirect(StatusCode::SEE_OTHER, location);
        Self {
            response,
            decision: Decision::Own,
            reason,
        }
    }

    fn with_cookie(mut self, line: HeaderValue) -> Self {
        self.response.headers_mut().append(SET_COOKIE, line);
        self
    }
}
