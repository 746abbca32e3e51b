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
mod provider_logout;
pub mod return_to;
mod start;
pub mod transaction;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE};
use moka::sync::Cache;
use tokio::runtime::Handle;

use self::return_to::{ReturnTo, login_path};
use crate::{
    clock::{Clock, Moment},
    config::{route::Authority, session::SessionLifetime},
    identity::RouteId,
    key_ring::SharedKeyRing,
    oidc::RelyingParty,
    pages::{self, Notice, PageContext, PageResponse, Problem},
    session::{Session, SessionStore},
    telemetry::{Decision, SharedMetrics},
};

pub use self::{me::UserName, return_to::RESERVED_PREFIX};

/// Most used states that are remembered; each lies in memory for [`USED_LIFETIME`].
const MAX_USED_STATES: u64 = 100_000;
/// Longer than an attempt lives, so that none can be used twice.
const USED_LIFETIME: Duration = Duration::from_mins(20);

/// What the endpoints share.
pub struct Login {
    store: Arc<dyn SessionStore>,
    key_ring: SharedKeyRing,
    clock: Clock,
    metrics: SharedMetrics,
    lifetime: SessionLifetime,
    /// Digest of a used state to where its sign-in went.
    used: Cache<[u8; 32], ReturnTo>,
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
    /// Endpoints that keep sessions of `lifetime` in `store` and talk to providers on `control`.
    #[must_use]
    pub fn new(
        store: Arc<dyn SessionStore>,
        key_ring: SharedKeyRing,
        clock: Clock,
        metrics: SharedMetrics,
        lifetime: SessionLifetime,
        control: Handle,
    ) -> Self {
        let used = Cache::builder()
            .max_capacity(MAX_USED_STATES)
            .time_to_live(USED_LIFETIME)
            .build();
        Self {
            store,
            key_ring,
            clock,
            metrics,
            lifetime,
            used,
            control,
        }
    }

    /// Says that a sign-in is needed, without beginning one: a page with one button, or a problem
    /// for whoever cannot use a page. Sets no cookie.
    #[must_use]
    pub fn ask(&self, door: &Door<'_>, return_to: &ReturnTo, reason: &'static str) -> Answer {
        let login = login_path(return_to);
        let response = if door.wants_page {
            let notice = Notice::SignIn {
                provider: door.provider_title,
                login: &login,
            };
            pages::respond(&notice, &door.page)
        } else {
            pages::problem(&Problem {
                status: StatusCode::UNAUTHORIZED,
                title: "Sign-in is needed",
                reason,
                request_id: door.page.request_id,
                login: Some(&login),
            })
        };
        Answer {
            response,
            decision: Decision::Login,
            reason,
        }
    }
}

impl Door<'_> {
    /// A page of ours as the answer; a problem instead for whoever cannot use a page.
    fn notice(&self, notice: &Notice<'_>, decision: Decision, reason: &'static str) -> Answer {
        let response = if self.wants_page {
            pages::respond(notice, &self.page)
        } else {
            let status = notice.status();
            let mut response = pages::problem(&Problem {
                status,
                title: status.canonical_reason().unwrap_or("Refused"),
                reason,
                request_id: self.page.request_id,
                login: None,
            });
            if let Notice::ProviderDown { retry_after, .. } = notice {
                let seconds = retry_after.as_secs().max(1);
                response
                    .headers_mut()
                    .insert(http::header::RETRY_AFTER, seconds.into());
            }
            response
        };
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
