//! Stopping: a soft stop that lets requests finish, a hard stop that does not, and the count of
//! what is still under way.
//!
//! Every connection is tracked here. What a connection spawns (an HTTP/2 stream, the driver of an
//! app's connection) ends with it.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How far the stop has come; it only ever moves forward.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
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
    phase: Arc<watch::Sender<Phase>>,
    tasks: TaskTracker,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Serving)),
            tasks: TaskTracker::new(),
        }
    }
}

impl Shutdown {
    /// Moves on to `phase`; going back is ignored.
    pub fn advance_to(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until `phase` or a later one is reached.
    pub async fn reached(&self, phase: Phase) {
        let mut watch = self.phase.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = watch.wait_for(|current| *current >= phase).await;
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
    use super::*;

    #[tokio::test]
    async fn a_stop_never_goes_back() {
        let shutdown = Shutdown::default();
        shutdown.advance_to(Phase::Ended);
        shutdown.advance_to(Phase::Draining);
        assert_eq!(shutdown.phase(), Phase::Ended);
        shutdown.reached(Phase::Draining).await;
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
