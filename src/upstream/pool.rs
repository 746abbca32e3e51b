//! Idle connections to one app: the one that came back last is taken first.
//!
//! A connection is here only between two exchanges that were whole on both sides; whatever is in
//! doubt is closed instead (S-095, S-096). Dropping a [`Connection`] closes it at once.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;

use super::{
    body::UpstreamBody,
    seats::{AppSeats, Turn},
    standing::Load,
};
use crate::{clock::Clock, head_guard::Expected};

/// Most idle connections to one app and data thread: as many as requests may be under way at once.
const MAX_IDLE: usize = 1024;

/// How long a connection may lie idle.
const LONGEST_IDLE: Duration = Duration::from_mins(1);

/// How often those that have lain too long are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// How long hyper may take to finish with a connection whose exchange is over.
const LONGEST_SETTLING: Duration = Duration::from_secs(1);

/// An open connection to an app, and the task that drives it.
pub(super) struct Connection {
    pub(super) sender: SendRequest<UpstreamBody>,
    /// Told before each request what its answer is to be.
    pub(super) expected: Expected,
    driver: AbortHandle,
    is_reusable: bool,
    /// To which address of the app it leads.
    at: u8,
    /// While it carries the request of a stranger.
    turn: Option<Turn>,
    /// While it carries a request, of an app with several addresses.
    load: Option<Load>,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<UpstreamBody>,
        expected: Expected,
        driver: AbortHandle,
        at: u8,
    ) -> Self {
        Self {
            sender,
            expected,
            driver,
            is_reusable: true,
            at,
            turn: None,
            load: None,
        }
    }

    /// To which address of the app it leads.
    pub(super) fn at(&self) -> u8 {
        self.at
    }

    /// Has it keep a stranger's turn until this exchange is over.
    pub(super) fn carry(&mut self, turn: Option<Turn>) {
        self.turn = turn;
    }

    /// Has its address count a request until this exchange is over.
    pub(super) fn weigh(&mut self, load: Option<Load>) {
        self.load = load;
    }

    /// Whether it has ended, or is about to because of what came over it.
    fn is_over(&self) -> bool {
        self.sender.is_closed() || self.expected.fault().is_some()
    }

    /// Nobody else may use it after this exchange.
    pub(super) fn spoil(&mut self) {
        self.is_reusable = false;
    }
}

/// With its driver the socket goes, also when the app is still sending or being sent to.
impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// The idle connections to one app.
#[derive(Debug)]
pub(super) struct Pool {
    clock: Clock,
    seats: Arc<AppSeats>,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// Those that came back last are last.
    connections: Vec<(Duration, Connection)>,
    has_sweeper: bool,
}

impl Pool {
    /// An empty one, whose idle connections those who wait for `seats` may take.
    pub(super) fn new(clock: Clock, seats: Arc<AppSeats>) -> Arc<Self> {
        let pool = Arc::new(Self {
            clock,
            seats,
            idle: Mutex::default(),
        });
        pool.seats.add(&pool);
        pool
    }

    /// The seats of its app.
    pub(super) fn seats(&self) -> &Arc<AppSeats> {
        &self.seats
    }

    /// The idle connection to this address that was used last, if there is one that can be used.
    pub(super) fn take(&self, at: u8) -> Option<Connection> {
        self.take_where(|connection| connection.at == at)
    }

    /// The same, to whichever address.
    pub(super) fn take_any(&self) -> Option<Connection> {
        self.take_where(|_| true)
    }

    fn take_where(&self, fits: impl Fn(&Connection) -> bool) -> Option<Connection> {
        let now = self.clock.now().monotonic;
        let mut idle = self.lock();
        let of_address = |(_, connection): &(Duration, Connection)| fits(connection);
        while let Some(last) = idle.connections.iter().rposition(of_address) {
            let (since, connection) = idle.connections.remove(last);
            if now.saturating_sub(since) >= LONGEST_IDLE {
                // All that came before have lain here longer still.
                idle.connections.drain(..last);
                return None;
            }
            if !connection.is_over() && connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes back a connection after a whole exchange, once hyper is done with it.
    pub(super) fn put_back(pool: &Arc<Self>, mut connection: Connection) {
        connection.turn = None;
        connection.load = None;
        if !connection.is_reusable || connection.is_over() {
            return;
        }
        if connection.sender.is_ready() {
            pool.keep(connection);
            return;
        }
        // Its driver has not come to its end of this exchange yet.
        let pool = Arc::clone(pool);
        tokio::spawn(async move {
            let settling = tokio::time::timeout(LONGEST_SETTLING, connection.sender.ready());
            if matches!(settling.await, Ok(Ok(()))) {
                pool.keep(connection);
            }
        });
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        let now = self.clock.now().monotonic;
        let mut idle = self.lock();
        let Some(connection) = self.seats.offer(connection) else {
            return;
        };
        if idle.connections.len() < MAX_IDLE {
            idle.connections.push((now, connection));
        }
        if !idle.has_sweeper {
            idle.has_sweeper = true;
            drop(idle);
            tokio::spawn(sweep(Arc::downgrade(self), self.clock.clone()));
        }
    }

    /// Since when the one that has been idle longest is so, by the monotonic clock.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        self.lock().connections.first().map(|(since, _)| *since)
    }

    /// Closes the connection that has been idle longest; says whether there was one.
    pub(super) fn close_longest_idle(&self) -> bool {
        let mut idle = self.lock();
        if idle.connections.is_empty() {
            return false;
        }
        idle.connections.remove(0);
        true
    }

    /// Closes what has lain too long; says whether anything is left.
    fn sweep(&self) -> bool {
        let now = self.clock.now().monotonic;
        let mut idle = self.lock();
        idle.connections.retain(|(since, connection)| {
            now.saturating_sub(*since) < LONGEST_IDLE && !connection.is_over()
        });
        idle.has_sweeper = !idle.connections.is_empty();
        idle.has_sweeper
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs as long as there are idle connections and somebody who could use them.
async fn sweep(pool: std::sync::Weak<Pool>, clock: Clock) {
    loop {
        clock.sleep(SWEEP_EVERY).await;
        match pool.upgrade() {
            Some(pool) if pool.sweep() => {}
            _ => return,
        }
    }
}
