//! How many connections there may be to all apps at once, and who waits when there are no more.
//!
//! A connection holds its seat until its socket is closed, idle or not. No app has more than its share
//! of the seats, so that one that hangs takes none of the others down, and strangers have no more than
//! half of an app's share, so that they never keep out people who are signed in. Whoever finds no seat
//! takes an idle connection of another thread, has one of another app closed, or waits; first come,
//! first served, never for ever. Nothing is locked while anybody waits, and a request that has its
//! connection asks nobody.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

use super::{
    bound::{Bound, Taken},
    error::{Crowd, UpstreamError},
    http2::Http2Pool,
    pool::{Connection, Pool},
};
use crate::{clock::Clock, config::route::UpstreamAddress, identity::RouteId, telemetry::Seldom};

/// How long a request waits for a seat, and one of a stranger for its turn before that: as long as an
/// app may take to accept a connection.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Who sends a request, as far as seats are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// Somebody who is signed in.
    Person,
    /// Anybody, by a public rule.
    Stranger,
}

/// The seats of all apps, whichever thread their connections are on.
#[derive(Debug)]
pub struct Seats {
    house: Arc<House>,
    share: Mutex<Share>,
    apps: Mutex<HashMap<AppKey, Arc<AppSeats>>>,
    crowded: Seldom,
}

/// What makes an app one: where it is, in one order, and how TLS is spoken to it. What is connected
/// for one is never used for another.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct AppKey {
    pub(super) addresses: Vec<UpstreamAddress>,
    pub(super) tls: Option<[u8; 32]>,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Share {
    /// To all apps together.
    all: usize,
    /// To one app.
    of_app: usize,
    /// To one app, for requests of strangers.
    of_strangers: usize,
}

impl Share {
    fn new(connections: usize, apps: usize) -> Self {
        let all = connections.clamp(1, Semaphore::MAX_PERMITS);
        let of_app = if apps > 1 { (all / 2).max(1) } else { all };
        Self {
            all,
            of_app,
            of_strangers: (of_app / 2).max(1),
        }
    }
}

impl Seats {
    /// So many seats for so many apps: one app alone may have all of them, one of several half.
    #[must_use]
    pub fn new(connections: usize, apps: usize) -> Self {
        let share = Share::new(connections, apps);
        Self {
            house: Arc::new(House {
                seats: Bound::new(share.all),
                waiting: AtomicUsize::new(0),
                apps: Mutex::default(),
            }),
            share: Mutex::new(share),
            apps: Mutex::default(),
            crowded: Seldom::default(),
        }
    }

    /// Shares them among so many apps from now on: those that have too many give them back as their
    /// connections end.
    pub fn share_among(&self, apps: usize) {
        let share = {
            let mut share = lock(&self.share);
            *share = Share::new(share.all, apps);
            *share
        };
        for app in lock(&self.apps).values() {
            app.resize(share);
        }
    }

    /// The seats of one app.
    pub(super) fn of(&self, key: &AppKey) -> Arc<AppSeats> {
        let mut apps = lock(&self.apps);
        if let Some(app) = apps.get(key) {
            return Arc::clone(app);
        }
        let share = *lock(&self.share);
        let app = Arc::new(AppSeats::new(Arc::clone(&self.house), share));
        lock(&self.house.apps).push(Arc::downgrade(&app));
        apps.insert(key.clone(), Arc::clone(&app));
        app
    }

    /// Forgets all other apps; what is under way there goes on.
    pub(super) fn keep(&self, keys: &HashSet<AppKey>) {
        lock(&self.apps).retain(|key, app| {
            let stays = keys.contains(key);
            if !stays {
                app.is_retired.store(true, Ordering::Relaxed);
            }
            stays
        });
        lock(&self.house.apps).retain(|app| app.strong_count() > 0);
    }

    /// How many wait for a connection to one app.
    #[cfg(test)]
    pub(super) fn queued(&self, key: &AppKey) -> usize {
        self.of(key).queued.load(Ordering::Relaxed)
    }

    /// Says, at most once a minute, that a request found no seat.
    pub(super) fn warn_of(&self, crowd: Crowd, route: &RouteId, clock: &Clock) {
        if self.crowded.is_due(clock.now().wall) {
            let Share {
                all,
                of_app,
                of_strangers,
            } = *lock(&self.share);
            tracing::warn!(
                %route,
                crowd = crowd.word(),
                all,
                of_app,
                of_strangers,
                "requests are refused because all the connections to their app that there may be are in \
                 use: look at the app first, which may hang; if it is well and can take more, raise \
                 [limits] connections"
            );
        }
    }
}

/// What all apps have in common.
#[derive(Debug)]
struct House {
    seats: Arc<Bound>,
    /// How many wait for a seat that any app could give up.
    waiting: AtomicUsize,
    apps: Mutex<Vec<Weak<AppSeats>>>,
}

impl House {
    /// Closes the connection that has been idle longest, whatever app it leads to. Its seat is free
    /// once the thread that drives it has come to close its socket.
    fn close_longest_idle(&self) {
        let apps: Vec<_> = lock(&self.apps).iter().filter_map(Weak::upgrade).collect();
        let pools = || apps.iter().flat_map(|app| app.all_pools());
        // Somebody may be quicker, but not for ever: each time one less is idle.
        while let Some((_, pool)) = pools()
            .filter_map(|pool| Some((pool.idle_since()?, pool)))
            .min_by_key(|(since, _)| *since)
        {
            if pool.close_longest_idle() {
                return;
            }
        }
    }
}

/// The seats of one app.
#[derive(Debug)]
pub(super) struct AppSeats {
    /// Tells apps apart, also those that were forgotten.
    id: u64,
    house: Arc<House>,
    seats: Arc<Bound>,
    strangers: Arc<Bound>,
    /// No route leads there any more.
    is_retired: AtomicBool,
    /// Each data thread's.
    pools: Mutex<Vec<Weak<Pool>>>,
    /// Each data thread's, where the app is spoken to in HTTP/2.
    http2: Mutex<Vec<Weak<Http2Pool>>>,
    /// How many may be in the queue.
    queued: AtomicUsize,
    /// Those who take the next connection that comes back, first come, first served. Some may have
    /// given up.
    queue: Mutex<VecDeque<oneshot::Sender<Connection>>>,
}

/// Held by a connection as long as its socket is open.
#[derive(Debug)]
pub(super) struct Seat {
    _of_app: Taken,
    _of_house: Taken,
}

/// Held by a stranger's request until its answer is whole.
#[derive(Debug)]
pub(super) struct Turn {
    _of_strangers: Taken,
}

/// What a request that found no idle connection gets.
#[derive(Debug)]
pub(super) enum Place {
    /// It may connect.
    Free(Seat),
    /// A connection that somebody else has no more use for.
    Left(Connection),
}

impl AppSeats {
    fn new(house: Arc<House>, share: Share) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            house,
            seats: Bound::new(share.of_app),
            strangers: Bound::new(share.of_strangers),
            is_retired: AtomicBool::new(false),
            pools: Mutex::default(),
            http2: Mutex::default(),
            queued: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }

    fn resize(&self, share: Share) {
        self.seats.resize(share.of_app);
        self.strangers.resize(share.of_strangers);
    }

    /// Tells it from every other app of this process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether no route leads there any more.
    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// Lets the idle connections of a pool be found by those who wait.
    pub(super) fn add(&self, pool: &Arc<Pool>) {
        lock(&self.pools).push(Arc::downgrade(pool));
    }

    /// The same for connections that speak HTTP/2.
    pub(super) fn add_http2(&self, pool: &Arc<Http2Pool>) {
        lock(&self.http2).push(Arc::downgrade(pool));
    }

    /// The HTTP/2 connections of all threads.
    pub(super) fn http2_pools(&self) -> Vec<Arc<Http2Pool>> {
        lock(&self.http2).iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether a seat can be had without waiting, as it looks now.
    pub(super) fn has_free(&self) -> bool {
        !self.seats.is_full() && !self.house.seats.is_full()
    }

    /// A seat for a connection that is shared; waits for one if need be.
    pub(super) async fn new_seat(&self, clock: &Clock) -> Result<Seat, UpstreamError> {
        if let Some(seat) = self.try_seat() {
            return Ok(seat);
        }
        tokio::select! {
            biased;
            seat = self.seat() => Ok(seat),
            () = clock.sleep(LONGEST_WAIT) => Err(UpstreamError::Crowded(self.crowd())),
        }
    }

    /// What a request of `caller` needs before it may use any connection.
    pub(super) async fn turn(
        &self,
        caller: Caller,
        clock: &Clock,
    ) -> Result<Option<Turn>, UpstreamError> {
        if caller == Caller::Person {
            return Ok(None);
        }
        let turn = |taken| Turn {
            _of_strangers: taken,
        };
        if let Some(taken) = self.strangers.try_take() {
            return Ok(Some(turn(taken)));
        }
        tokio::select! {
            biased;
            taken = self.strangers.take() => Ok(Some(turn(taken))),
            () = clock.sleep(LONGEST_WAIT) => Err(UpstreamError::Crowded(Crowd::Strangers)),
        }
    }

    /// A seat, or an idle connection; waits for either if need be.
    pub(super) async fn place(&self, clock: &Clock) -> Result<Place, UpstreamError> {
        if let Some(seat) = self.try_seat() {
            return Ok(Place::Free(seat));
        }
        let (_queued, mut left) = self.queue();
        // After that: what comes back from now on is offered.
        if let Some(connection) = self.pools().iter().find_map(|pool| pool.take_any()) {
            return Ok(Place::Left(connection));
        }
        tokio::select! {
            biased;
            Ok(connection) = &mut left => Ok(Place::Left(connection)),
            seat = self.seat() => Ok(Place::Free(seat)),
            () = clock.sleep(LONGEST_WAIT) => Err(UpstreamError::Crowded(self.crowd())),
        }
    }

    /// Takes a connection that would be idle from now on to whoever waits for one; `None` if it is gone.
    /// Asked while its pool is locked, so that nobody who looked there in vain is missed.
    pub(super) fn offer(&self, mut connection: Connection) -> Option<Connection> {
        if self.queued.load(Ordering::Relaxed) > 0 {
            let mut queue = lock(&self.queue);
            while let Some(first) = queue.pop_front() {
                connection = match first.send(connection) {
                    Ok(()) => return None,
                    Err(connection) => connection,
                };
            }
        }
        // Its seat is worth more to another app.
        (self.house.waiting.load(Ordering::Relaxed) == 0).then_some(connection)
    }

    fn try_seat(&self) -> Option<Seat> {
        Some(Seat {
            _of_app: self.seats.try_take()?,
            _of_house: self.house.seats.try_take()?,
        })
    }

    async fn seat(&self) -> Seat {
        // The narrower door first: nobody holds what another app could use and waits for its own.
        let of_app = self.seats.take().await;
        if let Some(of_house) = self.house.seats.try_take() {
            return Seat {
                _of_app: of_app,
                _of_house: of_house,
            };
        }
        let _waiting = Counted::one_more(&self.house.waiting);
        self.house.close_longest_idle();
        let of_house = self.house.seats.take().await;
        Seat {
            _of_app: of_app,
            _of_house: of_house,
        }
    }

    fn queue(&self) -> (Counted<'_>, oneshot::Receiver<Connection>) {
        let (sender, receiver) = oneshot::channel();
        let queued = Counted::one_more(&self.queued);
        let mut queue = lock(&self.queue);
        // Those who gave up came first: each is taken off once.
        while queue.front().is_some_and(oneshot::Sender::is_closed) {
            queue.pop_front();
        }
        queue.push_back(sender);
        (queued, receiver)
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        lock(&self.pools).iter().filter_map(Weak::upgrade).collect()
    }

    fn all_pools(&self) -> impl Iterator<Item = AnyPool> {
        let http1 = self.pools().into_iter().map(AnyPool::Http1);
        http1.chain(self.http2_pools().into_iter().map(AnyPool::Http2))
    }

    fn crowd(&self) -> Crowd {
        if self.seats.is_full() {
            Crowd::App
        } else {
            Crowd::House
        }
    }
}

/// What holds idle connections.
enum AnyPool {
    Http1(Arc<Pool>),
    Http2(Arc<Http2Pool>),
}

impl AnyPool {
    fn idle_since(&self) -> Option<Duration> {
        match self {
            Self::Http1(pool) => pool.idle_since(),
            Self::Http2(pool) => pool.idle_since(),
        }
    }

    fn close_longest_idle(&self) -> bool {
        match self {
            Self::Http1(pool) => pool.close_longest_idle(),
            Self::Http2(pool) => pool.close_longest_idle(),
        }
    }
}

/// Counts one more until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_apps_has_half_and_strangers_half_of_that() {
        for (connections, apps, expected) in [
            (100, 1, (100, 100, 50)),
            (100, 2, (100, 50, 25)),
            (9_900, 7, (9_900, 4_950, 2_475)),
            (1, 3, (1, 1, 1)),
            (0, 0, (1, 1, 1)),
        ] {
            let Share {
                all,
                of_app,
                of_strangers,
            } = Share::new(connections, apps);
            assert_eq!((all, of_app, of_strangers), expected);
        }
    }
}
