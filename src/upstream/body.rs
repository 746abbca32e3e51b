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
    lease::{BytesPerSecond, Ended, Lease, Watch},
    pool::{Connection, Pool},
};
use crate::clock::Clock;

/// The body of a request on its way to the app.
pub type UpstreamBody = Passing<Upload>;

/// The body of an answer on its way to the client. It holds the connection: a clean end gives it
/// back for others, anything else closes it.
pub type AnswerBody = Passing<Download>;

/// A body that is passed on piece by piece; `S` is what its direction makes of each.
#[derive(Debug)]
pub struct Passing<S> {
    state: State,
    watch: Watch,
    side: S,
}

#[derive(Debug)]
enum State {
    Done,
    Failed,
    Open(Incoming),
}

/// How much is taken of a request's body, and how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyLimits {
    /// How long the client may send nothing while the app could take more.
    pub idle: Duration,
    /// The most bytes; no such limit if absent.
    pub bytes: Option<u64>,
    /// The least it has to bring for the time the client is waited for, beyond one `idle`; no such
    /// limit if absent.
    pub slowest: Option<BytesPerSecond>,
}

/// What each direction does beside passing on.
pub trait Side {
    /// Looks at a piece, or at the end, before it is handed on; `is_last` if nothing follows.
    ///
    /// # Errors
    /// Returns [`BodyError`] if it may not be handed on.
    fn pass(&mut self, data: Option<&Bytes>, is_last: bool, clock: &Clock)
    -> Result<(), BodyError>;

    /// The body has failed; says for what.
    fn fail(&mut self, error: BodyError) -> BodyError;
}

impl<S: Side> Passing<S> {
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
        let data = next.transpose().map_err(BodyError::BrokenOff)?;
        self.watch.moved(data.as_ref().map_or(0, Bytes::len));
        let is_last = incoming.is_end_stream();
        self.side.pass(data.as_ref(), is_last, self.watch.clock())?;
        if data.is_none() || is_last {
            self.state = State::Done;
        }
        Poll::Ready(data.map(Ok))
    }
}

impl<S: Side + Unpin> Body for Passing<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = match ready!(this.poll_data(context)) {
            Some(Err(error)) => {
                this.state = State::Failed;
                Some(Err(this.side.fail(error)))
            }
            next => next.map(|data| data.map(Frame::data)),
        };
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Failed => false,
            State::Open(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Done => SizeHint::with_exact(0),
            State::Failed => SizeHint::default(),
            State::Open(incoming) => incoming.size_hint(),
        }
    }
}

/// The direction from the client to the app.
#[derive(Debug)]
pub struct Upload {
    /// HTTP/2 says where a body ends, and a reset may be passed off as such an end.
    end_is_marked: bool,
    /// How many bytes may still come.
    left: u64,
    /// There is none if there is no body: then there is nothing to wait for.
    progress: Option<Arc<Progress>>,
}

impl UpstreamBody {
    /// Takes over the body of a request that came in `version`.
    ///
    /// It ends with an error once `lease` is over, or where it goes beyond its limits.
    #[must_use]
    pub fn new(
        incoming: Incoming,
        version: Version,
        clock: Clock,
        lease: Option<Arc<dyn Lease>>,
        limits: BodyLimits,
    ) -> Self {
        let is_empty = incoming.is_end_stream();
        let slowest = limits.slowest.filter(|_| !is_empty);
        let progress = (!is_empty).then(|| Arc::new(Progress::beginning_at(&clock)));
        Self {
            state: if is_empty {
                State::Done
            } else {
                State::Open(incoming)
            },
            watch: Watch::new(clock, lease, limits.idle).no_slower_than(slowest),
            side: Upload {
                end_is_marked: version == Version::HTTP_2,
                left: limits.bytes.unwrap_or(u64::MAX),
                progress,
            },
        }
    }

    /// Another one without content, under the same lease.
    pub(super) fn bare(&self) -> Self {
        let clock = self.watch.clock().clone();
        Self {
            state: State::Done,
            watch: Watch::new(clock, self.watch.lease(), Duration::MAX),
            side: Upload {
                end_is_marked: false,
                left: 0,
                progress: None,
            },
        }
    }

    /// Whether more is announced than may come.
    pub(super) fn is_too_large(&self) -> bool {
        self.size_hint().lower() > self.side.left
    }

    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.side.progress.clone()
    }

    pub(super) fn lease(&self) -> Option<Arc<dyn Lease>> {
        self.watch.lease()
    }

    pub(super) fn check(&self) -> Result<(), Ended> {
        self.watch.check()
    }
}

impl Side for Upload {
    fn pass(
        &mut self,
        data: Option<&Bytes>,
        is_last: bool,
        clock: &Clock,
    ) -> Result<(), BodyError> {
        if data.is_none() && self.end_is_marked && !is_last {
            return Err(BodyError::Reset);
        }
        let length = data.map_or(0, Bytes::len);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or(BodyError::TooLarge)?;
        if let Some(progress) = &self.progress {
            progress.moved(clock, data.is_none() || is_last);
        }
        Ok(())
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        if let Some(progress) = &self.progress {
            progress.fail();
        }
        error
    }
}

/// The direction from the app to the client.
#[derive(Debug)]
pub struct Download {
    /// Gone once the body has ended.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    /// That of the request's body, which may still be under way.
    request: Option<Arc<Progress>>,
}

impl AnswerBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: Arc<Pool>,
        request: Option<Arc<Progress>>,
        watch: Watch,
    ) -> Self {
        let mut side = Download {
            connection: Some(connection),
            pool,
            request,
        };
        let state = if incoming.is_end_stream() {
            side.end();
            State::Done
        } else {
            State::Open(incoming)
        };
        Self { state, watch, side }
    }
}

impl Download {
    /// The answer is whole. Whether the request is too decides what becomes of the connection.
    fn end(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let request = self.request.as_ref();
        if request.is_none_or(|request| request.is_sent()) {
            Pool::put_back(&self.pool, connection);
        }
    }
}

impl Side for Download {
    fn pass(&mut self, data: Option<&Bytes>, is_last: bool, _: &Clock) -> Result<(), BodyError> {
        if data.is_none() || is_last {
            self.end();
        }
        Ok(())
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        // Closes it at once: what the app still sends is for nobody.
        self.connection = None;
        let request = self.request.as_ref();
        match error {
            // The connection was given up because of the request; the app did nothing wrong.
            BodyError::BrokenOff(_) if request.is_some_and(|request| request.has_failed()) => {
                BodyError::WithRequest
            }
            error => error,
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
    has_failed: AtomicBool,
    /// When a piece was last handed on, in milliseconds of the monotonic clock.
    moved_at: AtomicU64,
}

impl Progress {
    fn beginning_at(clock: &Clock) -> Self {
        Self {
            is_sent: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            moved_at: AtomicU64::new(millis(clock)),
        }
    }

    fn moved(&self, clock: &Clock, is_done: bool) {
        self.moved_at.store(millis(clock), Ordering::Relaxed);
        if is_done {
            self.is_sent.store(true, Ordering::Release);
        }
    }

    fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// Whether the body ended before its end.
    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
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
