//! A fault of ours ends what it is in, is counted and said, and ends nothing else.
//!
//! The runtime would contain it as well, and tell nobody. What the fault says goes to standard error by
//! itself; it is not repeated, because nobody knows what stands in it.

use std::{future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt;

use crate::telemetry::Metrics;

/// What `work` comes to; `None` if it panics.
///
/// Whoever continues afterwards must share nothing with it that a fault could leave half done. Adds
/// nothing to the size of `work`, which an `async fn` would keep twice.
pub fn contained<F: Future>(
    what: &'static str,
    metrics: &Metrics,
    work: F,
) -> impl Future<Output = Option<F::Output>> {
    AssertUnwindSafe(work).catch_unwind().map(move |done| {
        if done.is_err() {
            metrics.panicked();
            tracing::error!(what, "ended in a fault of ours; everything else goes on");
        }
        done.ok()
    })
}
