//! How many connections there may be at once, and how room is made when there is none.
//!
//! Whoever came last waits. Whoever has not brought a request yet is asked to go first, then whoever
//! has been idle; of either the one that waits longest. Never ends a connection itself, and asks none
//! while nobody waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::deadline::now;

/// How long whoever was asked to go has before somebody else is asked as well.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nobody is asked who is about to say something: a handshake and a head over a bad line.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// The word in the metric for a connection that had to go without having brought a whole request.
pub(super) const OF_ROOM: &str = "connections";

/// The want of room that connections listen for which have nothing under way; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Arc<Mutex<Want>>);

#[derive(Debug, Default)]
struct Want {
    /// How many wait for room.
    waiting: usize,
    /// How many asks of theirs met nobody.
    unheard: usize,
    /// Who listens; the first is asked first.
    listening: BTreeMap<Place, oneshot::Sender<()>>,
    /// How many have listened so far.
    count: u64,
}

/// Where in the row somebody stands who listens.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    standing: Standing,
    since: Instant,
    /// No two have the same place.
    number: u64,
}

/// In the order in which they are asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Standing {
    /// Has not brought a request yet.
    Stranger,
    /// Has had its requests answered.
    Idle,
}

impl Pressure {
    /// Ends when the connection that listens is the one to go. Only what has nothing under way may
    /// listen; of several the one that began first is asked first.
    pub async fn asked(&self) {
        self.asked_as(Standing::Idle, now()).await;
    }

    /// Ends when a connection is the one to go that has been there since `arrived` and has brought no
    /// request: such a one goes before any that has, but not before [`GRACE`] is over.
    pub(super) async fn asked_of_stranger(&self, arrived: Instant) {
        sleep_until(arrived + GRACE).await;
        self.asked_as(Standing::Stranger, arrived).await;
    }

    /// Has somebody else asked: whoever was asked has something under way again.
    pub(super) fn hand_on(&self) {
        self.ask_next();
    }

    /// Asks one connection to go, on behalf of somebody who waits until this is dropped.
    pub(super) fn ask(&self) -> Waiting<'_> {
        self.want().waiting += 1;
        self.ask_next();
        Waiting(self)
    }

    async fn asked_as(&self, standing: Standing, since: Instant) {
        while let Some(mut listening) = self.listen(standing, since) {
            // The other half is dropped only when something was sent.
            let _ = (&mut listening.called).await;
            listening.heard = true;
            // By now room may have come about otherwise.
            if self.want().waiting > 0 {
                return;
            }
        }
    }

    /// Takes a place in the row; `None` if somebody was to be asked and nobody was there.
    fn listen(&self, standing: Standing, since: Instant) -> Option<Listening<'_>> {
        let mut want = self.want();
        if want.unheard > 0 {
            want.unheard -= 1;
            return None;
        }
        want.count += 1;
        let place = Place {
            standing,
            since,
            number: want.count,
        };
        let (call, called) = oneshot::channel();
        want.listening.insert(place, call);
        drop(want);
        Some(Listening {
            pressure: self,
            place,
            called,
            heard: false,
        })
    }

    fn ask_next(&self) {
        let mut want = self.want();
        if want.waiting == 0 {
            return;
        }
        let next = want.listening.pop_first();
        if next.is_none() {
            want.unheard = want.waiting.min(want.unheard + 1);
        }
        drop(want);
        if let Some((_, call)) = next {
            // Who stops listening at this moment hands it on.
            let _ = call.send(());
        }
    }

    fn want(&self) -> MutexGuard<'_, Want> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody listens.
struct Listening<'a> {
    pressure: &'a Pressure,
    place: Place,
    called: oneshot::Receiver<()>,
    heard: bool,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let was_listening = self.pressure.want().listening.remove(&self.place).is_some();
        if !was_listening && !self.heard {
            self.pressure.hand_on();
        }
    }
}

/// Somebody waits for room.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Pressure);

impl Waiting<'_> {
    pub(super) fn ask_again(&self) {
        self.0.ask_next();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut want = self.0.want();
        want.waiting -= 1;
        want.unheard = want.unheard.min(want.waiting);
    }
}

/// Room for so many connections, on however many threads; clones share it.
#[derive(Clone, Debug)]
pub struct Room {
    seats: Arc<Semaphore>,
    pressure: Pressure,
}

impl Room {
    /// Room for `connections`, which listen to `pressure` while they have nothing under way.
    #[must_use]
    pub fn new(connections: usize, pressure: Pressure) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            pressure,
        }
    }

    /// Takes a seat until it is dropped; waits for one if need be, and has others asked to go
    /// meanwhile.
    pub(super) async fn seat(&self) -> OwnedSemaphorePermit {
        if let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() {
            return seat;
        }
        let waiting = self.pressure.ask();
        let asking = async {
            loop {
                sleep(PATIENCE).await;
                waiting.ask_again();
            }
        };
        tokio::select! {
            seat = Arc::clone(&self.seats).acquire_owned() => {
                seat.expect("nothing closes the semaphore")
            }
            never = asking => never,
        }
    }

    /// Has a connection asked to go, although there are seats: something else ran out.
    pub(super) fn ask(&self) -> Waiting<'_> {
        self.pressure.ask()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_has_been_idle_longest_is_asked_first_and_one_at_a_time() {
        let pressure = Pressure::default();
        let mut idle: Vec<_> = (0..3).map(|_| Box::pin(pressure.asked())).collect();
        for one in &mut idle {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let _waiting = pressure.ask();
        assert!(idle[1].as_mut().now_or_never().is_none());
        assert!(idle[2].as_mut().now_or_never().is_none());
        assert!(idle[0].as_mut().now_or_never().is_some());
    }

    // S-254, S-255, S-260
    #[tokio::test(start_paused = true)]
    async fn strangers_are_asked_before_the_idle_the_first_to_come_first() {
        let pressure = Pressure::default();
        let mut idle = Box::pin(pressure.asked());
        assert!(idle.as_mut().now_or_never().is_none());
        let first = now();
        sleep(PATIENCE).await;
        let second = now();
        sleep(GRACE).await;
        // The one that came first begins to listen last: after its handshake, say.
        let mut second = Box::pin(pressure.asked_of_stranger(second));
        assert!(second.as_mut().now_or_never().is_none());
        let mut first = Box::pin(pressure.asked_of_stranger(first));
        assert!(first.as_mut().now_or_never().is_none());
        let waiting = pressure.ask();
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().is_some());
        waiting.ask_again();
        assert!(idle.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_some());
        waiting.ask_again();
        assert!(idle.as_mut().now_or_never().is_some());
    }

    // S-260
    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_a_moment_before_it_is_asked() {
        let pressure = Pressure::default();
        let _waiting = pressure.ask();
        let arrived = now();
        pressure.asked_of_stranger(arrived).await;
        assert!(arrived.elapsed() >= GRACE);
    }

    #[tokio::test]
    async fn whoever_was_busy_when_it_was_asked_goes_when_it_becomes_idle() {
        let pressure = Pressure::default();
        let waiting = pressure.ask();
        assert!(pressure.asked().now_or_never().is_some());
        // Nobody waits any more: nobody is asked, although the ask is kept.
        waiting.ask_again();
        drop(waiting);
        assert!(pressure.asked().now_or_never().is_none());
    }

    #[tokio::test]
    async fn an_ask_comes_too_late_when_nobody_waits_any_more() {
        let pressure = Pressure::default();
        let mut idle = Box::pin(pressure.asked());
        assert!(idle.as_mut().now_or_never().is_none());
        drop(pressure.ask());
        assert!(idle.as_mut().now_or_never().is_none());
        // It listens still.
        let _waiting = pressure.ask();
        assert!(idle.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_that_stopped_listening_hands_the_ask_on() {
        let pressure = Pressure::default();
        let mut first = Box::pin(pressure.asked());
        let mut second = Box::pin(pressure.asked());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        let _waiting = pressure.ask();
        // A request came in the same moment.
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_whoever_stopped_listening() {
        let pressure = Pressure::default();
        for _ in 0..3 {
            assert!(pressure.asked().now_or_never().is_none());
        }
        assert!(pressure.want().listening.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn as_long_as_nobody_goes_others_are_asked_as_well() {
        let pressure = Pressure::default();
        let room = Room::new(1, pressure.clone());
        let seat = room.seat().await;
        let mut deaf = Box::pin(pressure.asked());
        let listening = pressure.asked();
        assert!(deaf.as_mut().now_or_never().is_none());
        let leaving = async {
            listening.await;
            drop(seat);
        };
        let (_seat, ()) = tokio::join!(room.seat(), leaving);
        drop(deaf);
    }
}
