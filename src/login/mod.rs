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
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{runtime::Handle, sync::Semaphore};

use self::return_to::{ReturnTo, login_path};
use crate::{
    clock::{Clock, Moment},
    config::{route::Authority, session::SessionLifetime},
    identity::{ProviderName, ProviderSessionId, RouteId},
    key_ring::SharedKeyRing,
    oidc::RelyingParty,
    pages::{self, Notice, PageContext, PageResponse},
    session::{Session, SessionKey, SessionStore},
    telemetry::{Decision, Seldom, SharedMetrics},
};

pub use self::me::UserName;

/// Bytes that used states may take in memory; each lies there for [`USED_LIFETIME`].
const MAX_USED_BYTES: u64 = 32 * 1024 * 1024;
/// About what one used state takes besides its path, in bytes.
const USED_BYTES: u32 = 128;
/// Most codes that are redeemed at once; beyond that a browser is asked to come back.
const MAX_REDEMPTIONS: usize = 64;
/// How long the end of a provider's session is remembered, for a sign-in of it that is under way.
const ENDED_SID_LIFETIME: Duration = Duration::from_mins(1);
const MAX_ENDED_SIDS: u64 = 100_000;
/// Longer than an attempt lives, so that none can be used twice.
const USED_LIFETIME: Duration = Duration::from_mins(20);

/// A sign-in that came to a session.
#[derive(Clone)]
struct Finished {
    session: SessionKey,
    return_to: ReturnTo,
}

/// What the endpoints share.
pub struct Login {
    store: Arc<dyn SessionStore>,
    key_ring: SharedKeyRing,
    clock: Clock,
    metrics: SharedMetrics,
    /// Digest of a used state; where its sign-in led, once it has.
    used: Cache<[u8; 32], Option<Finished>>,
    /// When a cookie of another vestibule was last warned about.
    foreign_ring: Seldom,
    /// Sessions at a provider that ended a moment ago.
    ended_sids: Cache<(ProviderName, ProviderSessionId), ()>,
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
        // By the order of use, here as for sessions: the default policy would refuse the newest.
        let used = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, finished: &Option<Finished>| {
                let path = finished
                    .as_ref()
                    .map_or(0, |it| it.return_to.as_str().len());
                USED_BYTES.saturating_add(u32::try_from(path).unwrap_or(u32::MAX))
            })
            .max_capacity(MAX_USED_BYTES)
            .time_to_live(USED_LIFETIME)
            .build();
        let ended_sids = Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(MAX_ENDED_SIDS)
            .time_to_live(ENDED_SID_LIFETIME)
            .build();
        Self {
            store,
            key_ring,
            clock,
            metrics,
            used,
            foreign_ring: Seldom::default(),
            ended_sids,
            redemptions: Arc::new(Semaphore::new(MAX_REDEMPTIONS)),
            control,
        }
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
