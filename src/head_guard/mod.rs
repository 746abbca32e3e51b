//! A reader around a connection that refuses the messages whose faults hyper would hide: two lengths,
//! bare line feeds, a `#` in a target (RFC 9112 2.2, 3, 5, 6, 7).
//!
//! It goes along in step with hyper, one pass over the bytes, towards clients and around the answers
//! of apps and providers. It never rewrites a byte, and never lets one through that it has refused.
//! Behind a request that asks for another protocol it lets nothing through before the answer is known
//! (RFC 9110 7.8): until then it cannot be said what a byte means.
//!
//! - `guard`: the reader; `fault`: what it says; `known`: what is known of a refused head
//! - `messages`: one message after another; `head`, `start_line`, `fields`, `chunked`: their parts
//! - `classes`: which bytes may stand where; `doubt`: what one that may not makes of its message

mod chunked;
mod classes;
mod doubt;
mod fault;
mod fields;
mod guard;
mod head;
mod known;
mod messages;
mod start_line;

#[cfg(test)]
mod tests;

pub use self::{
    fault::HeadFault,
    guard::{Expected, HeadGuard, HeadLimits, Watch},
    known::Known,
};

use bytes::Bytes;
use http::Response;

/// Whoever can say, in an answer, that a head was refused; counts and logs it too.
pub trait RefuseHead {
    /// The answer to a request whose head is refused. It is complete: length and type are set.
    fn refuse(&self, fault: HeadFault) -> Response<Bytes>;

    /// The same where something is known of the head.
    fn refuse_known(&self, fault: HeadFault, known: &Known<'_>) -> Response<Bytes> {
        let _ = known;
        self.refuse(fault)
    }
}

/// Whether a value of `Content-Length` has one reading: digits alone, none in vain, not more than
/// can be counted (RFC 9112 6.3).
#[must_use]
pub fn is_plain_length(value: &[u8]) -> bool {
    let is_plain = value == b"0" || value.first().is_some_and(|digit| *digit != b'0');
    is_plain && value.len() <= 19 && value.iter().all(u8::is_ascii_digit)
}
