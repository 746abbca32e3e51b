//! A reader around a connection that refuses the messages whose faults hyper would hide: two lengths,
//! bare line feeds, a `#` in a target (RFC 9112 2.2, 3, 5, 6, 7).
//!
//! It goes along in step with hyper, one pass over the bytes, towards clients and around the answers
//! of apps and providers. It never rewrites a byte, and never lets one through that it has refused.

mod fault;
mod guard;

pub use self::{
    fault::HeadFault,
    guard::{Expected, HeadGuard, HeadLimits, Watch},
};

use bytes::Bytes;
use http::Response;

/// Whoever can say, in an answer, that a head was refused; counts and logs it too.
pub trait RefuseHead {
    /// The answer to a request whose head is refused. It is complete: length and type are set.
    fn refuse(&self, fault: HeadFault) -> Response<Bytes>;
}
