//! How long a client may leave what is ready for it: as long as a bucket of time is not empty, which
//! runs out while nothing is taken and fills up with every byte that is.
//!
//! Asks the clock only when a wait begins and when it ends, and sets no timer for whoever never makes
//! anybody wait.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::stopwatch::now;

/// The least that a client takes in the long run of what is ready for it, in bytes a second.
const SLOWEST_READER: u32 = 500;

/// The patience that is left with one client.
pub(super) struct Patience {
    /// All there is.
    most: Duration,
    /// What was left when something was last taken.
    left: Duration,
    /// Since when nothing has been taken, while something is ready.
    waiting: Option<Instant>,
    /// When to look again; made by the first wait, and never later than it has to be: what is taken
    /// only puts the end off.
    look: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// All of it is there.
    pub(super) fn full(most: Duration) -> Self {
        Self {
            most,
            left: most,
            waiting: None,
            look: None,
        }
    }

    /// So many bytes were taken, or there is nothing left to take: a wait, if there was one, is over.
    pub(super) fn moves(&mut self, bytes: usize) {
        if let Some(since) = self.waiting.take() {
            let waited = now().saturating_duration_since(since);
            self.left = self.left.saturating_sub(waited);
        }
        if self.left < self.most {
            self.left = self.left.saturating_add(time_of(bytes)).min(self.most);
        }
    }

    /// Nothing is taken of what is ready. Ready when there is no patience left.
    pub(super) fn waits(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.waiting.get_or_insert_with(now) + self.left;
        let look = self.look.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(look.as_mut().poll(context));
            if look.deadline() >= end {
                return Poll::Ready(());
            }
            look.as_mut().reset(end);
        }
    }

    /// All of it is there again: the client is not to blame for this wait.
    pub(super) fn is_restored(&mut self) {
        self.waiting = None;
        self.left = self.most;
    }

    /// Whether nobody was ever waited for.
    #[cfg(test)]
    pub(super) fn is_untouched(&self) -> bool {
        self.waiting.is_none() && self.look.is_none()
    }
}

/// How long a client may take over so many bytes.
pub(super) fn time_of(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Duration::from_secs(bytes.into()) / SLOWEST_READER
}
