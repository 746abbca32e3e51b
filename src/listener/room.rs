//! How many connections there may be at once, and how room is made when there is none.
//!
//! Whoever came last waits; whoever has been idle longest is asked to go. Never ends a connection
//! itself, and asks none while nobody waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// How long whoever was asked to go has before somebody else is asked as well.
const PATIENCE: Duration = Duration::from_secs(1);

/// The want of room that idle connections listen for; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Arc<Want>);

#[derive(Debug, Default)]
struct Want {
    waiting: AtomicUsize,
    /// First come, first woken: the one that listens longest has been idle longest.
    ask: Notify,
}

impl Pressure {
    /// Ends when the connection that listens is the one to go. Only what has nothing under way may
    /// listen; of several the one that began first is asked first.
    pub async fn asked(&self) {
        loop {
            self.0.ask.notified().await;
            // An ask that met nobody is kept; by now room may have come about otherwise.
            if self.0.waiting.load(Ordering::Acquire) > 0 {
                return;
            }
        }
    }

    /// Asks one connection to go, on behalf of somebody who waits until this is dropped.
    pub(super) fn ask(&self) -> Waiting<'_> {
        self.0.waiting.fetch_add(1, Ordering::AcqRel);
        self.0.ask.notify_one();
        Waiting(self)
    }
}

/// Somebody waits for room.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Pressure);

impl Waiting<'_> {
    pub(super) fn ask_again(&self) {
        self.0.0.ask.notify_one();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Room for so many connections, on however many threads; clones share it.
#[derive(Clone, Debug)]
pub struct Room {
    seats: Arc<Semaphore>,
    pressure: Pressure,
}

impl Room {
    /// Room for `connections`, whose idle ones listen to `pressure`.
    #[must_use]
    pub fn new(connections: usize, pressure: Pressure) -> Self {
        Self {
            seats: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            pressure,
        }
    }

    /// Takes a seat until it is dropped; waits for one if need be, and has idle connections asked to
    /// go meanwhile.
    pub(super) async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() {
            return Some(seat);
        }
        let waiting = self.pressure.ask();
        let asking = async {
            loop {
                sleep(PATIENCE).await;
                waiting.ask_again();
            }
        };
        tokio::select! {
            // The semaphore is never closed, so that a seat always comes.
            seat = Arc::clone(&self.seats).acquire_owned() => seat.ok(),
            () = asking => None,
        }
    }

    /// Has one idle connection asked to go, although there are seats: something else ran out.
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
        let (next, ()) = tokio::join!(room.seat(), leaving);
        assert!(next.is_some());
        drop(deaf);
    }
}
