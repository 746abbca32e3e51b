//! How much time has passed, as a timer would tell. Nothing is dated by it, and tests can move it.

use tokio::time::Instant;

/// A moment, to be compared with others.
#[expect(
    clippy::disallowed_methods,
    reason = "how much time has passed between two moments; what has a date goes by the crate's clock"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
