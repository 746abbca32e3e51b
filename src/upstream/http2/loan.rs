//! The body of a request while hyper has it: nobody has begun to read it, and then it can be had back; or
//! somebody has, and then it is known how that went.
//!
//! hyper tells nobody why the body of a request over HTTP/2 failed: it resets the stream. Whoever waits
//! for the answer finds the reason here. Never hands back a body of which a piece is gone.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::connection::Stream;
use crate::upstream::{body::UpstreamBody, error::BodyError};

/// A body that was given away; held by whoever waits for the answer.
#[derive(Debug)]
pub(super) struct Loan(Arc<Mutex<Lending>>);

#[derive(Debug)]
struct Lending {
    /// Gone once it was had back, has failed, or is of no more use.
    body: Option<UpstreamBody>,
    /// Something of it, were it only its end, was handed on.
    has_begun: bool,
    fault: Option<BodyError>,
}

/// What hyper gets. It keeps the stream counted until all of the request is sent, or it is given up.
#[derive(Debug)]
pub(super) struct Lent {
    lending: Arc<Mutex<Lending>>,
    _stream: Arc<Stream>,
}

/// What hyper is told of a body that failed.
#[derive(Debug, Error)]
#[error("the body of the request failed")]
pub(super) struct Failed;

impl Loan {
    /// Gives a body away, to be sent over `stream`.
    pub(super) fn of(body: UpstreamBody, stream: &Arc<Stream>) -> (Self, Lent) {
        let lending = Arc::new(Mutex::new(Lending {
            body: Some(body),
            has_begun: false,
            fault: None,
        }));
        let lent = Lent {
            lending: Arc::clone(&lending),
            _stream: Arc::clone(stream),
        };
        (Self(lending), lent)
    }

    /// The body, if nobody has taken anything of it.
    pub(super) fn take_back(&self) -> Option<UpstreamBody> {
        let mut lending = lock(&self.0);
        if lending.has_begun {
            return None;
        }
        lending.body.take()
    }

    /// Why it failed, if it did.
    pub(super) fn take_fault(&self) -> Option<BodyError> {
        lock(&self.0).fault.take()
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let mut lending = lock(&self.lending);
        let Some(body) = &mut lending.body else {
            // Whatever became of it, this is not its end.
            return Poll::Ready(Some(Err(Failed)));
        };
        let next = ready!(Pin::new(body).poll_frame(context));
        lending.has_begun = true;
        Poll::Ready(next.map(|next| {
            next.map_err(|error| {
                lending.body = None;
                lending.fault = Some(error);
                Failed
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        let lending = lock(&self.lending);
        lending.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let lending = lock(&self.lending);
        let hint = lending.body.as_ref().map(Body::size_hint);
        hint.unwrap_or_default()
    }
}

/// What was begun and is not gone on with is of no use to anybody.
impl Drop for Lent {
    fn drop(&mut self) {
        let mut lending = lock(&self.lending);
        if lending.has_begun {
            lending.body = None;
        }
    }
}

fn lock(lending: &Mutex<Lending>) -> MutexGuard<'_, Lending> {
    lending.lock().unwrap_or_else(PoisonError::into_inner)
}
