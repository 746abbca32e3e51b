//! Instants of tokio's clock, for what is waited for and never for a date.
//!
//! Limits are durations: [`crate::clock::Clock`] tells the time to whoever writes it down, and the
//! timers of tokio, which tests stop and move, tell how much of it has passed.

use std::time::Duration;

use tokio::time::Instant;

/// This moment.
#[expect(
    clippy::disallowed_methods,
    reason = "how much time has passed, as a timer would tell; nothing is dated by it, and tests can move it"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// When `duration` will have passed; of ours none is longer than days.
pub(super) fn from_now(duration: Duration) -> Instant {
    now() + duration
}
