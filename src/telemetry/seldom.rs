//! Lets what anybody can bring about not fill the log.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::clock::Timestamp;

/// Lets something be said at most once a minute, whoever brings it about.
#[derive(Debug)]
pub struct Seldom {
    /// Unix seconds.
    said_at: AtomicI64,
}

impl Default for Seldom {
    fn default() -> Self {
        let said_at = AtomicI64::new(i64::MIN);
        Self { said_at }
    }
}

impl Seldom {
    /// Whether it may be said now; if so, it counts as said.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let last = self.said_at.load(Ordering::Relaxed);
        let quiet_until = Timestamp::from_unix_seconds(last).plus(Duration::from_mins(1));
        // Of two at once one says it.
        now >= quiet_until
            && self
                .said_at
                .compare_exchange(
                    last,
                    now.unix_seconds(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}
