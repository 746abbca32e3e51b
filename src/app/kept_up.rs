//! Work in the background that must go on: a fault in it is counted and said, and it begins again.
//!
//! Never lets a fault of one turn end the work for good: keys that nobody refreshes any more would
//! keep everybody out a day later.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;

use crate::telemetry::SharedMetrics;

/// How long after a fault work begins again.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Does the work that `make` makes, again `pause` after each fault; once it is done, so is this.
pub(super) async fn kept_up<F: Future<Output = ()>>(
    what: &'static str,
    metrics: SharedMetrics,
    pause: Duration,
    make: impl Fn() -> F,
) {
    while AssertUnwindSafe(make()).catch_unwind().await.is_err() {
        metrics.panicked();
        tracing::error!(
            what,
            "work in the background ended in a fault; it begins again"
        );
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{clock::Clock, telemetry::Metrics};

    #[tokio::test]
    async fn work_that_panics_begins_again_and_is_counted() {
        // S-268
        let metrics = Arc::new(Metrics::new(Clock::system()));
        let begun = AtomicUsize::new(0);
        let work = || async {
            assert!(begun.fetch_add(1, Ordering::Relaxed) >= 3, "on purpose");
        };
        kept_up("a test", Arc::clone(&metrics), Duration::ZERO, work).await;
        assert_eq!(begun.load(Ordering::Relaxed), 4);
        let text = metrics.text(0);
        assert!(text.contains("vestibule_panics_total 3"), "{text}");
    }
}
