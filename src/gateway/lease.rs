//! Lets what streams go on as long as it would be let in anew, and not a piece longer: as long as its
//! session lives or its token lasts (S-005), and as long as the rules in force allow it.
//!
//! Never lets anything go on that a request could not begin now: a route that is gone, a sender who is
//! no longer allowed, a public or a bearer rule that was taken back end what they let in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Method, uri::PathAndQuery};

use super::{
    authenticate::is_of,
    bearer,
    judged::Judged,
    routes::{RouteEntry, RouteTable},
};
use crate::{
    clock::Clock,
    oidc::VerifiedToken,
    session::Session,
    upstream::{Ended, Lease},
};

/// How often it is asked again while nothing moves.
const LONGEST_UNASKED: Duration = Duration::from_secs(1);

/// The generation that no table has: what was refused once stays refused.
const REFUSED: u64 = 0;

/// Whom a request was let in for.
pub(super) enum Sender {
    /// Nobody in particular: a public rule let it in.
    Anybody,
    /// Somebody who is signed in.
    Session(Arc<Session>),
    /// Whoever sent an access token.
    Token(Arc<VerifiedToken>),
}

/// A request that was let in, as what streams for it sees it.
pub(super) struct Grant {
    sender: Sender,
    entry: Arc<RouteEntry>,
    method: Method,
    target: Option<PathAndQuery>,
    tables: Arc<ArcSwap<RouteTable>>,
    /// The generation of the table that let it in last, or [`REFUSED`].
    allowed_by: AtomicU64,
    clock: Clock,
}

impl Grant {
    /// What `table` has let in for `sender`.
    pub(super) fn new<B>(
        request: &http::Request<B>,
        sender: Sender,
        entry: &Arc<RouteEntry>,
        table: &RouteTable,
        tables: &Arc<ArcSwap<RouteTable>>,
        clock: &Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            sender,
            entry: Arc::clone(entry),
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            tables: Arc::clone(tables),
            allowed_by: AtomicU64::new(table.generation),
            clock: clock.clone(),
        })
    }

    /// Comes back once it is over, within a second: also when a clock steps or somebody ends it.
    pub(super) async fn over(&self) {
        loop {
            let left = self.remaining();
            if left.is_zero() {
                return;
            }
            self.clock.sleep(left.min(LONGEST_UNASKED)).await;
        }
    }

    /// By the table in force; judged once for each.
    fn is_allowed(&self) -> bool {
        let table = self.tables.load();
        let allowed_by = self.allowed_by.load(Ordering::Acquire);
        if allowed_by == table.generation || allowed_by == REFUSED {
            return allowed_by != REFUSED;
        }
        let allows = self.is_allowed_by(&table);
        let verdict = if allows { table.generation } else { REFUSED };
        // Two threads may judge at once, by two tables even: a refusal stands.
        let judged = self
            .allowed_by
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| {
                (before != REFUSED).then_some(verdict)
            });
        allows && judged.is_ok()
    }

    /// Whether the same request would be let in at the same route by this table.
    fn is_allowed_by(&self, table: &RouteTable) -> bool {
        let (route, path) = (&self.entry.route, self.path());
        let authority = &route.from.authority;
        let Some(site) = table.site(&authority.host, authority.port) else {
            return false;
        };
        let Some(entry) = site.route(path).filter(|it| it.route.id == route.id) else {
            return false;
        };
        match &self.sender {
            Sender::Anybody => site.is_public(entry, &self.method, path),
            Sender::Session(session) => {
                let lets_in = |it: &RouteEntry| Judged::of(table, it, session).allowed().is_ok();
                is_of(session, site)
                    && lets_in(entry)
                    && site.also_judged(entry, path).all(|other| lets_in(other))
            }
            Sender::Token(token) => bearer::lets_in(site, entry, path, token),
        }
    }

    /// Whether whoever it was let in for is there still, whatever the rules are now.
    fn is_there(&self) -> bool {
        match &self.sender {
            Sender::Anybody => true,
            Sender::Session(session) => session.is_live(self.clock.now()),
            Sender::Token(token) => !token.until.has_passed(self.clock.now()),
        }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }
}

impl Lease for Grant {
    fn is_live(&self) -> bool {
        self.is_there() && self.is_allowed()
    }

    fn remaining(&self) -> Duration {
        if !self.is_allowed() {
            return Duration::ZERO;
        }
        match &self.sender {
            Sender::Anybody => Duration::MAX,
            Sender::Session(session) => session.remaining(self.clock.now()),
            Sender::Token(token) => token.until.remaining(self.clock.now()),
        }
    }

    fn end(&self) -> Ended {
        if self.is_there() {
            Ended::NoLongerAllowed
        } else {
            Ended::LeaseOver
        }
    }
}
