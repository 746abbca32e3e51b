//! What operators see: logs, the access log, metrics.
//!
//! No secret may get here: what is logged is named field by field, never a whole request; a path is
//! logged without its query, because codes and tokens travel there.
//!
//! - `log`: what is said of the program itself; `seldom`: what is said once a minute at most
//! - `access_log`: one line per request; `decision`, `ended`: its words
//! - `metrics`: what is counted; `words`: the tests that the README explains every word

mod access_log;
mod decision;
mod ended;
mod log;
mod metrics;
mod seldom;
#[cfg(test)]
pub(crate) mod words;

pub use self::{
    access_log::{AccessRecord, AccessWriter},
    decision::Decision,
    ended::Ended,
    log::{chain, start_log},
    metrics::{
        AddressStatus, Metrics, OpenConnection, OpenTunnel, ReloadOutcome, RequestCounter,
        SharedMetrics,
    },
    seldom::Seldom,
};
