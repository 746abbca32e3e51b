//! The HTTP/2 connections to one app: who gets a stream, who makes a connection, which are closed.
//!
//! The connection made first that has a stream free is used first, so that those that are not needed any
//! more fall idle. As few requests as need one make a new connection; the others wait for what it brings.
//! Nothing is locked while anybody waits, and nobody waits for ever.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    select,
    sync::{Notify, watch},
};

use super::connection::{Connection, MAX_STREAMS, Stream};
use crate::{
    clock::Clock,
    upstream::{
        connect::{Way, dial},
        error::{Crowd, UpstreamError},
        seats::{AppSeats, LONGEST_WAIT},
    },
};

/// How long a connection may lie idle.
const LONGEST_IDLE: Duration = Duration::from_mins(1);

/// How often those that have lain too long are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// How long a request waits for a stream in all: for a seat, for a connection, and for the app to say that
/// it speaks HTTP/2.
const LONGEST_SEARCH: Duration = LONGEST_WAIT.saturating_mul(3);

/// The connections of one data thread to one app.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Pool {
    clock: Clock,
    /// Which of the app's addresses it leads to, and how.
    at: u8,
    way: Way,
    seats: Arc<AppSeats>,
    state: Mutex<State>,
    /// Told when a stream is given back.
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// Those made first are first.
    connections: Vec<Arc<Connection>>,
    attempts: Vec<Attempt>,
    /// How many streams a new connection is likely to have.
    likely_room: usize,
    has_sweeper: bool,
}

/// A connection that is being made.
#[derive(Debug)]
struct Attempt {
    outcome: Outcome,
    /// How many wait for it.
    awaited: usize,
}

/// `None` while it goes on.
type Outcome = watch::Receiver<Option<Result<(), Arc<UpstreamError>>>>;

impl Http2Pool {
    /// An empty one, whose idle connections those who wait for `seats` may have closed.
    pub(super) fn new(clock: Clock, (at, way): (u8, Way), seats: Arc<AppSeats>) -> Arc<Self> {
        let pool = Arc::new(Self {
            clock,
            at,
            way,
            seats,
            state: Mutex::new(State {
                connections: Vec::new(),
                attempts: Vec::new(),
                likely_room: MAX_STREAMS,
                has_sweeper: false,
            }),
            freed: Arc::default(),
        });
        pool.seats.add_http2(&pool);
        pool
    }

    /// The seats of its app.
    pub(super) fn seats(&self) -> &Arc<AppSeats> {
        &self.seats
    }

    /// A stream, of another connection than `but`; waits for one if need be.
    pub(super) async fn stream(
        self: &Arc<Self>,
        but: Option<&Arc<Connection>>,
    ) -> Result<Arc<Stream>, UpstreamError> {
        if let Some(stream) = self.take(but) {
            return Ok(stream);
        }
        select! {
            biased;
            found = self.search(but) => found,
            () = self.clock.sleep(LONGEST_SEARCH) => Err(UpstreamError::Crowded(Crowd::App)),
        }
    }

    /// A stream of a connection that nobody else ever uses.
    pub(super) async fn stream_apart(self: &Arc<Self>) -> Result<Arc<Stream>, UpstreamError> {
        let connection = self.connect().await?;
        let stream = connection.take(&self.freed);
        connection.retire();
        stream.ok_or(UpstreamError::ConnectTimeout)
    }

    async fn search(
        self: &Arc<Self>,
        but: Option<&Arc<Connection>>,
    ) -> Result<Arc<Stream>, UpstreamError> {
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            let mut outcome = {
                let mut state = self.lock();
                // After listening: what is given back from now on is heard of.
                if let Some(stream) = state.take(&self.freed, but) {
                    return Ok(stream);
                }
                match state.attempt_to_join() {
                    Some(outcome) => outcome,
                    None if self.seats.has_free() => self.attempt(&mut state),
                    None => {
                        drop(state);
                        if let Some(stream) = self.stream_of_another_thread(but) {
                            return Ok(stream);
                        }
                        self.attempt(&mut self.lock())
                    }
                }
            };
            select! {
                biased;
                over = outcome.wait_for(Option::is_some) => {
                    if let Ok(Some(Err(fault))) = over.as_deref() {
                        return Err(UpstreamError::shared(fault));
                    }
                }
                () = freed => {}
            }
        }
    }

    fn stream_of_another_thread(&self, but: Option<&Arc<Connection>>) -> Option<Arc<Stream>> {
        let pools = self.seats.http2_pools();
        let mut pools = pools.iter().filter(|pool| pool.at == self.at);
        pools.find_map(|pool| pool.take(but))
    }

    /// A stream of those connections that there are.
    fn take(&self, but: Option<&Arc<Connection>>) -> Option<Arc<Stream>> {
        self.lock().take(&self.freed, but)
    }

    /// Begins to make a connection, whoever may still want it then.
    fn attempt(self: &Arc<Self>, state: &mut State) -> Outcome {
        let (sender, outcome) = watch::channel(None);
        state.attempts.push(Attempt {
            outcome: outcome.clone(),
            awaited: 1,
        });
        let (pool, own) = (Arc::clone(self), outcome.clone());
        tokio::spawn(async move {
            let made = pool.connect().await;
            // Nobody need wait for it any more.
            let _ = sender.send(Some(pool.finish(&own, made)));
        });
        outcome
    }

    /// An attempt is over: what it brought is for everybody.
    fn finish(
        self: &Arc<Self>,
        attempt: &Outcome,
        made: Result<Arc<Connection>, UpstreamError>,
    ) -> Result<(), Arc<UpstreamError>> {
        let mut state = self.lock();
        let is_over = |it: &Attempt| it.outcome.same_channel(attempt);
        state.attempts.retain(|it| !is_over(it));
        self.keep(&mut state, made.map_err(Arc::new)?);
        Ok(())
    }

    async fn connect(&self) -> Result<Arc<Connection>, UpstreamError> {
        let seat = self.seats.new_seat(&self.clock).await?;
        let stream = dial(&self.way, &self.clock).await?;
        Connection::open(stream, seat, &self.clock).await
    }

    fn keep(self: &Arc<Self>, state: &mut State, connection: Arc<Connection>) {
        state.likely_room = connection.room().max(1);
        state.connections.push(connection);
        if !state.has_sweeper {
            state.has_sweeper = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.clock.clone()));
        }
    }

    /// Since when the one that has been idle longest is so, by the monotonic clock.
    pub(in crate::upstream) fn idle_since(&self) -> Option<Duration> {
        let state = self.lock();
        let connections = state.connections.iter();
        connections.filter_map(|it| it.idle_since()).min()
    }

    /// Closes the connection that has been idle longest; says whether there was one.
    pub(in crate::upstream) fn close_longest_idle(&self) -> bool {
        let mut state = self.lock();
        let idle = state.connections.iter().enumerate();
        let idle = idle.filter_map(|(at, it)| Some((it.idle_since()?, at)));
        let Some((_, at)) = idle.min() else {
            return false;
        };
        // Somebody may have taken a stream of it just now, and comes to an end with that.
        state.connections.remove(at).retire();
        true
    }

    /// Closes what has lain too long or is of no more use; says whether anything is left.
    fn sweep(&self) -> bool {
        let now = self.clock.now().monotonic;
        let mut state = self.lock();
        state.connections.retain(|connection| {
            let idle_since = connection.idle_since();
            let is_idle = idle_since.is_some_and(|it| now.saturating_sub(it) >= LONGEST_IDLE);
            !connection.is_over() && !is_idle
        });
        state.has_sweeper = !state.connections.is_empty();
        state.has_sweeper
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, freed: &Arc<Notify>, but: Option<&Arc<Connection>>) -> Option<Arc<Stream>> {
        self.connections.retain(|connection| !connection.is_over());
        let others = self.connections.iter();
        others
            .filter(|it| but.is_none_or(|but| !Arc::ptr_eq(it, but)))
            .find_map(|connection| connection.take(freed))
    }

    /// A connection that is being made and is likely to have room for one more.
    fn attempt_to_join(&mut self) -> Option<Outcome> {
        // One whose task has gone without a word brings nothing.
        self.attempts.retain(|it| it.outcome.has_changed().is_ok());
        let room = self.likely_room;
        let attempt = self.attempts.iter_mut().find(|it| it.awaited < room)?;
        attempt.awaited += 1;
        Some(attempt.outcome.clone())
    }
}

/// Runs as long as there are connections and somebody who could use them.
async fn sweep(pool: Weak<Http2Pool>, clock: Clock) {
    loop {
        clock.sleep(SWEEP_EVERY).await;
        match pool.upgrade() {
            Some(pool) if pool.sweep() => {}
            _ => return,
        }
    }
}
