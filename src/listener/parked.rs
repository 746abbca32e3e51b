//! A connection that waits for a request: without hyper, and without a buffer of its own.
//!
//! Knows no time limit but the one it is handed. Never loses a byte: what wakes it is read by whoever
//! serves the connection next.

use std::future::poll_fn;

use tokio::{
    io::AsyncRead,
    time::{Instant, sleep_until},
};

use super::{carried::Carried, connection::Terms, exchange::Course, shutdown::Phase};
use crate::head_guard::HeadFault;

/// What ended the waiting.
#[derive(Debug)]
pub(super) enum Woken {
    /// Bytes came, and lie ready.
    Bytes,
    /// What came first is no head.
    Faulted(HeadFault),
    /// The client has gone.
    Gone,
    /// The time is up.
    Late,
    /// A stop has begun.
    Stopped,
    /// Somebody else needs the place.
    Unwanted,
}

/// Waits for the first bytes of a request, until `deadline`, on a connection that has been there since
/// `arrived`.
pub(super) async fn parked<I: AsyncRead + Unpin>(
    io: &mut Carried<I>,
    course: &Course,
    deadline: Instant,
    arrived: Instant,
    terms: &Terms,
) -> Woken {
    let unwanted = async {
        if course.activity.seen().is_untouched() {
            terms.pressure.asked_of_stranger(arrived).await;
        } else {
            terms.pressure.asked().await;
        }
    };
    // Bytes that are there already win over every reason to close.
    tokio::select! {
        biased;
        read = poll_fn(|context| io.poll_read_ahead(context)) => match read {
            Ok(0) | Err(_) => Woken::Gone,
            Ok(_) => Woken::Bytes,
        },
        fault = course.watch.faulted() => Woken::Faulted(fault),
        () = sleep_until(deadline) => Woken::Late,
        () = terms.shutdown.reached(Phase::Draining) => Woken::Stopped,
        () = unwanted => Woken::Unwanted,
    }
}
