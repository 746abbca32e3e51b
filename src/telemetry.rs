//! What operators see: logs, the access log, metrics. (contract; body follows)
//!
//! No secret may get here: what is logged is named field by field, never a whole request.

use crate::session::EndCause;

/// The counters and gauges of `/metrics`.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// Counts a session's end by cause.
    pub fn session_ended(&self, _cause: EndCause) {}

    /// Says, at most now and then, that the session store is nearly full.
    pub fn warn_of_full_store(&self, _kept: u64, _capacity: u64) {}
}
