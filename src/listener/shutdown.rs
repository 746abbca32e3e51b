//! Stopping: a soft stop that lets requests finish, a hard stop that does not, and the count of
//! what is still under way.
//!
//! Every connection of a client is tracked here, and the streams of HTTP/2 that it spawns end with it.
//! The driver of a connection to an app does not: it lasts as long as that connection, which others use
//! next, and goes with the pool of its data thread.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

use tokio::sync::Notify;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How far the stop has come; it only ever moves forward.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Phase {
    /// New connections and requests are welcome.
    Serving,
    /// No new connections are taken. Those that were are served as before: one that has only just
    /// come is still to say what it came for, and nobody else would hear it.
    Closing,
    /// What is under way may finish, and nothing is begun.
    Draining,
    /// Everything ends now.
    Ended,
}

/// A handle on the stop; clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stop: Arc<Stop>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Stop {
    /// A [`Phase`] as a number.
    phase: AtomicU8,
    closing: Notify,
    draining: Notify,
    ended: Notify,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            stop: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }
}

impl Shutdown {
    /// Moves on to `phase`; going back is ignored.
    pub fn advance_to(&self, phase: Phase) {
        // Before anybody is woken: whoever is looks at it.
        self.stop.phase.fetch_max(phase as u8, Ordering::AcqRel);
        if phase >= Phase::Closing {
            self.stop.closing.notify_waiters();
        }
        if phase >= Phase::Draining {
            self.stop.draining.notify_waiters();
        }
        if phase >= Phase::Ended {
            self.stop.ended.notify_waiters();
        }
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.stop.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Closing,
            2 => Phase::Draining,
            _ => Phase::Ended,
        }
    }

    /// Waits until `phase` or a later one is reached.
    ///
    /// Every connection waits for it beside everything else that it does: each look but the first
    /// takes no lock, which all threads would share.
    pub async fn reached(&self, phase: Phase) {
        let news = match phase {
            Phase::Serving => return,
            Phase::Closing => &self.stop.closing,
            Phase::Draining => &self.stop.draining,
            Phase::Ended => &self.stop.ended,
        };
        // Before the first look: news that come between the two are not missed.
        let mut news = pin!(news.notified());
        let mut waiting: Option<Waker> = None;
        poll_fn(|context| {
            if self.phase() >= phase {
                return Poll::Ready(());
            }
            let waker = context.waker();
            if waiting.as_ref().is_some_and(|it| it.will_wake(waker)) {
                return Poll::Pending;
            }
            waiting = Some(waker.clone());
            news.as_mut().poll(context)
        })
        .await;
    }

    /// Counts a task as under way until the token is dropped.
    pub fn token(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// Wraps a future so that it is counted while it exists.
    pub fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(future)
    }

    /// Waits until nothing is under way any more. Only sensible once a stop has begun.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stop_never_goes_back() {
        let shutdown = Shutdown::default();
        shutdown.advance_to(Phase::Ended);
        shutdown.advance_to(Phase::Draining);
        assert_eq!(shutdown.phase(), Phase::Ended);
        shutdown.reached(Phase::Draining).await;
    }

    // S-269
    #[tokio::test]
    async fn whoever_waits_hears_of_each_phase_wherever_it_is_polled_from() {
        let shutdown = Shutdown::default();
        let mut draining = Box::pin(shutdown.reached(Phase::Draining));
        let mut ended = Box::pin(shutdown.reached(Phase::Ended));
        for waiting in [&mut draining, &mut ended] {
            // By a task that is not the one which goes on with it.
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let shared = shutdown.clone();
        let later = tokio::spawn(async move { shared.reached(Phase::Ended).await });
        let moved = tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                tokio::task::yield_now().await;
                shutdown.advance_to(Phase::Draining);
            }
        });
        draining.await;
        moved.await.unwrap();
        assert!(!later.is_finished());
        assert!(ended.as_mut().now_or_never().is_none());
        let moved = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.advance_to(Phase::Ended) }
        });
        ended.await;
        later.await.unwrap();
        moved.await.unwrap();
    }

    #[tokio::test]
    async fn finished_waits_for_every_tracked_task() {
        let shutdown = Shutdown::default();
        let token = shutdown.token();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.finished().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(token);
        waiting.await.unwrap();
    }
}
