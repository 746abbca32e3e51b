//! What streams in both directions: frames of bytes, unbuffered, and nothing that only looks whole.
//!
//! A body that breaks off, on whichever side and for whatever reason, ends with an error, so that
//! the other side's stream is broken off too (S-225). Trailers of requests are dropped (S-021), those of
//! answers pass where the client takes them, without what may not stand there.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::{
    answer_headers::AnswerRemoval,
    error::BodyError,
    http2::Stream,
    lease::{BytesPerSecond, Ended, Lease, Watch},
    pool::{Connection, Pool},
    seats::Turn,
    standing::Load,
};
use crate::clock::Clock;

/// The body of a request on its way to the app.
pub type UpstreamBody = Passing<Upload>;

/// The body of an answer on its way to the client. It holds the connection, or its stream of one: a clean
/// end gives it back for others, anything else closes it.
pub type AnswerBody = Passing<Download>;

/// A body that is passed on piece by piece; `S` is what its direction makes of each.
#[derive(Debug)]
pub struct Passing<S: Side> {
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

    /// Which of the fields behind the body are handed on, if any.
    fn pass_trailers(&mut self, trailers: HeaderMap) -> Option<HeaderMap>;

    /// The body has failed; says for what.
    fn fail(&mut self, error: BodyError) -> BodyError;

    /// Nobody wants more of the body, all of whose bytes were handed on.
    fn leave(&mut self, rest: Incoming);
}

impl<S: Side> Passing<S> {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let State::Open(incoming) = &mut self.state else {
                return Poll::Ready(None);
            };
            self.watch.check()?;
            let next = match Pin::new(&mut *incoming).poll_frame(context) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    self.watch.wait(context)?;
                    return Poll::Pending;
                }
            };
            let next = next.transpose().map_err(BodyError::BrokenOff)?;
            let data = match next.map(Frame::into_data) {
                None => None,
                Some(Ok(data)) => Some(data),
                // Of frames that are no data hyper knows one kind.
                Some(Err(frame)) => {
                    self.watch.moved(0);
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let Some(trailers) = self.side.pass_trailers(trailers) else {
                        continue;
                    };
                    self.side.pass(None, true, self.watch.clock())?;
                    self.state = State::Done;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            };
            self.watch.moved(data.as_ref().map_or(0, Bytes::len));
            let is_last = incoming.is_end_stream();
            self.side.pass(data.as_ref(), is_last, self.watch.clock())?;
            if data.is_none() || is_last {
                self.state = State::Done;
            }
            return Poll::Ready(data.map(|data| Ok(Frame::data(data))));
        }
    }

    /// Whether all of its bytes were handed on; over HTTP/2 its end may still be on its way.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Failed => false,
            State::Open(incoming) => {
                incoming.is_end_stream() || incoming.size_hint().exact() == Some(0)
            }
        }
    }
}

impl<S: Side> Drop for Passing<S> {
    fn drop(&mut self) {
        if !self.is_whole() {
            return;
        }
        if let State::Open(rest) = std::mem::replace(&mut self.state, State::Done) {
            self.side.leave(rest);
        }
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
        let next = ready!(this.poll_next(context));
        Poll::Ready(next.map(|next| {
            next.map_err(|error| {
                this.state = State::Failed;
                this.side.fail(error)
            })
        }))
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

    /// None: some apps would take them for fields of the head (S-021).
    fn pass_trailers(&mut self, _: HeaderMap) -> Option<HeaderMap> {
        None
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        if let Some(progress) = &self.progress {
            progress.fail();
        }
        error
    }

    fn leave(&mut self, _: Incoming) {}
}

/// The direction from the app to the client.
#[derive(Debug)]
pub struct Download {
    /// Gone once the body has ended.
    way: Option<Way>,
    /// That of the request's body, which may still be under way.
    request: Option<Arc<Progress>>,
    /// What may not stand in the trailers; without it none pass.
    trailers: Option<Arc<AnswerRemoval>>,
}

/// What an answer comes over, and what becomes of that when it has ended.
#[derive(Debug)]
enum Way {
    /// A connection, which goes back to its pool.
    Http1(Connection, Arc<Pool>),
    /// A stream, which is given back; and a stranger's turn.
    Http2 {
        _stream: Arc<Stream>,
        _turn: Option<Turn>,
        /// What its address counts, of an app with several.
        _load: Option<Load>,
    },
}

/// How long an app may take to end an answer all of whose bytes have come.
const LONGEST_END: Duration = Duration::from_secs(5);

impl AnswerBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: Arc<Pool>,
        request: Option<Arc<Progress>>,
        watch: Watch,
    ) -> Self {
        let mut side = Download {
            way: Some(Way::Http1(connection, pool)),
            request,
            trailers: None,
        };
        let state = if incoming.is_end_stream() {
            side.end();
            State::Done
        } else {
            State::Open(incoming)
        };
        Self { state, watch, side }
    }

    /// The body of an answer that comes over `stream`; what one that has no body brings goes to nobody.
    pub(super) fn over_http2(
        incoming: Incoming,
        has_body: bool,
        stream: Arc<Stream>,
        (turn, load): (Option<Turn>, Option<Load>),
        request: Option<Arc<Progress>>,
        watch: Watch,
    ) -> Self {
        let mut side = Download {
            way: Some(Way::Http2 {
                _stream: stream,
                _turn: turn,
                _load: load,
            }),
            request,
            trailers: None,
        };
        let state = if incoming.is_end_stream() {
            side.end();
            State::Done
        } else if has_body {
            State::Open(incoming)
        } else {
            side.leave(incoming);
            State::Done
        };
        Self { state, watch, side }
    }

    /// Has trailers pass, but for what `removal` names and what may not stand there.
    pub(super) fn pass_trailers(&mut self, removal: &Arc<AnswerRemoval>) {
        self.side.trailers = Some(Arc::clone(removal));
    }
}

impl Download {
    /// The answer is whole. Whether the request is too decides what becomes of a connection; a stream is
    /// counted until both are.
    fn end(&mut self) {
        let request = self.request.as_ref();
        if let Some(Way::Http1(connection, pool)) = self.way.take()
            && request.is_none_or(|request| request.is_sent())
        {
            Pool::put_back(&pool, connection);
        }
    }
}

impl Side for Download {
    fn pass(&mut self, data: Option<&Bytes>, is_last: bool, _: &Clock) -> Result<(), BodyError> {
        // HTTP/2 says where a body ends, and a reset may be passed off as such an end.
        let end_is_marked = matches!(self.way, Some(Way::Http2 { .. }));
        if data.is_none() && end_is_marked && !is_last {
            return Err(BodyError::Unfinished);
        }
        if data.is_none() || is_last {
            self.end();
        }
        Ok(())
    }

    fn pass_trailers(&mut self, mut trailers: HeaderMap) -> Option<HeaderMap> {
        self.trailers.as_ref()?.cut_from_trailers(&mut trailers);
        (!trailers.is_empty()).then_some(trailers)
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        // Closes it at once: what the app still sends is for nobody.
        self.way = None;
        let request = self.request.as_ref();
        match error {
            // The connection was given up because of the request; the app did nothing wrong.
            BodyError::BrokenOff(_) if request.is_some_and(|request| request.has_failed()) => {
                BodyError::WithRequest
            }
            error => error,
        }
    }

    /// Waits for the end, for a while: an app that is told before that its answer is not wanted would take
    /// its client for gone.
    fn leave(&mut self, mut rest: Incoming) {
        let Some(way @ Way::Http2 { .. }) = self.way.take() else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match Pin::new(&mut rest).poll_frame(&mut context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return,
                Poll::Pending => break,
            }
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let _way = way;
            let ending = poll_fn(|context| match Pin::new(&mut rest).poll_frame(context) {
                // Should there be more, it is for nobody.
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            });
            let _ = tokio::time::timeout(LONGEST_END, ending).await;
        });
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
