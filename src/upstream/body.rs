//! What streams in both directions: frames of bytes, unbuffered, and nothing that only looks whole.
//!
//! A body that breaks off, on whichever side and for whatever reason, ends with an error, so that
//! the other side's stream is broken off too (S-225). Trailers are dropped in both directions
//! (S-021).

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    error::BodyError,
    lease::{Ended, Lease, Watch},
    pool::{Connection, Pool},
};
use crate::clock::Clock;

/// The body of a request on its way to the app.
#[derive(Debug)]
pub struct UpstreamBody {
    state: State,
    /// HTTP/2 says where a body ends, and a reset may be passed off as such an end.
    end_is_marked: bool,
    /// There is none if there is no body: then there is nothing to wait for.
    progress: Option<Arc<Progress>>,
    watch: Watch,
}

#[derive(Debug)]
enum State {
    Done,
    Failed,
    Open(Incoming),
}

impl UpstreamBody {
    /// Takes over the body of a request that came in `version`.
    ///
    /// It ends with an error once `lease` is over, or if the client sends nothing for
    /// `longest_quiet` while the app could take more.
    #[must_use]
    pub fn new(
        incoming: Incoming,
        version: Version,
        clock: Clock,
        lease: Option<Arc<dyn Lease>>,
        longest_quiet: Duration,
    ) -> Self {
        let is_empty = incoming.is_end_stream();
        let progress = (!is_empty).then(|| Arc::new(Progress::beginning_at(&clock)));
        Self {
            state: if is_empty {
                State::Done
            } else {
                State::Open(incoming)
            },
            end_is_marked: version == Version::HTTP_2,
            progress,
            watch: Watch::new(clock, lease, longest_quiet),
        }
    }

    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    pub(super) fn lease(&self) -> Option<Arc<dyn Lease>> {
        self.watch.lease()
    }

    pub(super) fn check(&self) -> Result<(), Ended> {
        self.watch.check()
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let State::Open(incoming) = &mut self.state else {
            return Poll::Ready(None);
        };
        self.watch.check()?;
        let next = match poll_incoming(incoming, context) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                self.watch.wait(context)?;
                return Poll::Pending;
            }
        };
        self.watch.moved();
        let data = next.transpose().map_err(BodyError::BrokenOff)?;
        let at_end = incoming.is_end_stream();
        if data.is_none() && self.end_is_marked && !at_end {
            return Poll::Ready(Some(Err(BodyError::Reset)));
        }
        let is_done = data.is_none() || at_end;
        if let Some(progress) = &self.progress {
            progress.moved(self.watch.clock(), is_done);
        }
        if is_done {
            self.state = State::Done;
        }
        Poll::Ready(data.map(Ok))
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_data(context));
        if let Some(Err(_)) = next {
            this.state = State::Failed;
        }
        Poll::Ready(next.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.state.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state.size_hint()
    }
}

/// The body of an answer on its way to the client. It holds the connection: a clean end gives it
/// back for others, anything else closes it.
#[derive(Debug)]
pub struct AnswerBody {
    state: State,
    /// Gone once the body has ended.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    /// That of the request's body, which may still be under way.
    request: Option<Arc<Progress>>,
    watch: Watch,
}

impl AnswerBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: Arc<Pool>,
        request: Option<Arc<Progress>>,
        watch: Watch,
    ) -> Self {
        let mut body = Self {
            state: State::Open(incoming),
            connection: Some(connection),
            pool,
            request,
            watch,
        };
        if body.state.is_end_stream() {
            body.end();
        }
        body
    }

    /// The answer is whole. Whether the request is too decides what becomes of the connection.
    fn end(&mut self) {
        self.state = State::Done;
        let Some(connection) = self.connection.take() else {
            return;
        };
        if self
            .request
            .as_ref()
            .is_none_or(|request| request.is_sent())
        {
            Pool::put_back(&self.pool, connection);
        }
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let State::Open(incoming) = &mut self.state else {
            return Poll::Ready(None);
        };
        self.watch.check()?;
        let next = match poll_incoming(incoming, context) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                self.watch.wait(context)?;
                return Poll::Pending;
            }
        };
        self.watch.moved();
        let data = next.transpose().map_err(BodyError::BrokenOff)?;
        if data.is_none() || incoming.is_end_stream() {
            self.end();
        }
        Poll::Ready(data.map(Ok))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_data(context));
        if let Some(Err(_)) = next {
            this.state = State::Failed;
            // Closes it at once: what the app still sends is for nobody.
            this.connection = None;
        }
        Poll::Ready(next.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.state.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state.size_hint()
    }
}

impl State {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Done => true,
            Self::Failed => false,
            Self::Open(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Done => SizeHint::with_exact(0),
            Self::Failed => SizeHint::default(),
            Self::Open(incoming) => incoming.size_hint(),
        }
    }
}

/// The next piece of data; trailers are passed over.
fn poll_incoming(
    incoming: &mut Incoming,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

/// How far the body of a request has come, for those who wait for the answer.
#[derive(Debug)]
pub(super) struct Progress {
    is_sent: AtomicBool,
    /// When a piece was last handed on, in milliseconds of the monotonic clock.
    moved_at: AtomicU64,
}

impl Progress {
    fn beginning_at(clock: &Clock) -> Self {
        Self {
            is_sent: AtomicBool::new(false),
            moved_at: AtomicU64::new(millis(clock)),
        }
    }

    fn moved(&self, clock: &Clock, is_done: bool) {
        self.moved_at.store(millis(clock), Ordering::Relaxed);
        if is_done {
            self.is_sent.store(true, Ordering::Release);
        }
    }

    /// Whether the whole body was handed on.
    pub(super) fn is_sent(&self) -> bool {
        self.is_sent.load(Ordering::Acquire)
    }

    /// When a piece was last handed on, by the monotonic clock.
    pub(super) fn moved_at(&self) -> Duration {
        Duration::from_millis(self.moved_at.load(Ordering::Relaxed))
    }
}

fn millis(clock: &Clock) -> u64 {
    u64::try_from(clock.now().monotonic.as_millis()).unwrap_or(u64::MAX)
}
