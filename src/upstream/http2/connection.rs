//! One HTTP/2 connection to an app, and how many of its streams are taken.
//!
//! Its streams are counted here and no request is handed to hyper for which the app has no room, because
//! hyper would keep it waiting behind all others. Its bounds: an answer that nobody takes holds
//! [`STREAM_WINDOW`] at the most, and the window of the connection has room for that much of every stream
//! it may have and for one more, so that however many clients take nothing, the others' answers go on.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::Request;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{select, sync::Notify};

use super::loan::Lent;
use crate::{
    clock::Clock,
    upstream::{
        connect::CONNECT_TIMEOUT,
        error::{AnswerFault, UpstreamError},
        seats::Seat,
        stream::UpstreamStream,
        tls::HTTP_2,
    },
};

/// Most requests at once over one connection, however many the app would take.
pub(super) const MAX_STREAMS: usize = 100;

/// How much of an answer is held that its client does not take.
const STREAM_WINDOW: u32 = 128 * 1024;

/// One stream's for each there may be, and one more that is never used up.
#[expect(clippy::cast_possible_truncation, reason = "it is a hundred")]
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * (MAX_STREAMS as u32 + 1);

/// How much of a request's body is held that the app does not take.
const SEND_BUFFER: usize = 64 * 1024;

/// The largest list of fields an answer may have, its trailers too: as large as over HTTP/1.1.
const HEADER_LIST: u32 = 64 * 1024;

/// How often h2 may have to reset a stream because of what the app does, before it gives it up.
const PROVOKED_RESETS: usize = 100;

/// After how long without a sign of life an app with requests under way is asked for one. Servers of gRPC
/// take it for an attack if they are asked more often than every five minutes.
const PING_EVERY: Duration = Duration::from_mins(6);

/// How long it may take over the answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

type Driven = http2::Connection<TokioIo<UpstreamStream>, Lent, Drivers>;

/// `None` once it is over.
type Inside = Arc<Mutex<Option<Driven>>>;

/// What hyper hands out.
pub(super) type Sent = Result<http::Response<Incoming>, TrySendError<Request<Lent>>>;

/// An open connection. It is closed when it is dropped and its last stream has come to its end.
pub(super) struct Connection {
    sender: http2::SendRequest<Lent>,
    inside: Inside,
    /// How many streams are taken.
    taken: AtomicUsize,
    is_retired: AtomicBool,
    /// How many answers have begun.
    heads: AtomicUsize,
    /// When its last stream was given back, in milliseconds of the monotonic clock.
    idle_since: AtomicU64,
    clock: Clock,
}

/// A place for one request, taken until nothing of it or of its answer is under way any more.
pub(in crate::upstream) struct Stream {
    connection: Arc<Connection>,
    /// Told when it is free again.
    freed: Arc<Notify>,
}

impl Connection {
    /// Begins to speak HTTP/2 over `stream`, which nobody has said anything on, and waits until the app
    /// has said how many requests it takes.
    pub(super) async fn open(
        stream: UpstreamStream,
        seat: Seat,
        clock: &Clock,
    ) -> Result<Arc<Self>, UpstreamError> {
        select! {
            biased;
            opened = Self::begin(stream, seat, clock) => opened,
            () = clock.sleep(CONNECT_TIMEOUT) => Err(UpstreamError::ConnectTimeout),
        }
    }

    async fn begin(
        stream: UpstreamStream,
        seat: Seat,
        clock: &Clock,
    ) -> Result<Arc<Self>, UpstreamError> {
        let no_http2 = |error| UpstreamError::BadAnswer(AnswerFault::NoHttp2(error));
        if stream.has_agreed_on_other_than(HTTP_2) {
            return Err(no_http2(None));
        }
        let heard = Arc::new(Notify::new());
        let (sender, driven) = builder(Drivers::new(seat, &heard))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| no_http2(Some(error)))?;
        let inside = Arc::new(Mutex::new(Some(driven)));
        let mut running = tokio::spawn(drive(Arc::clone(&inside)));
        loop {
            let mut heard = pin!(heard.notified());
            heard.as_mut().enable();
            if room(&inside) > 0 {
                break;
            }
            select! {
                biased;
                ended = &mut running => return Err(no_http2(ended.ok().and_then(Result::err))),
                () = heard => {}
            }
        }
        Ok(Arc::new(Self {
            sender,
            inside,
            taken: AtomicUsize::new(0),
            is_retired: AtomicBool::new(false),
            heads: AtomicUsize::new(0),
            idle_since: AtomicU64::new(millis(clock)),
            clock: clock.clone(),
        }))
    }

    /// How many requests it takes at once.
    pub(super) fn room(&self) -> usize {
        room(&self.inside)
    }

    /// One of its streams, if one is free.
    pub(super) fn take(self: &Arc<Self>, freed: &Arc<Notify>) -> Option<Arc<Stream>> {
        if self.is_over() {
            return None;
        }
        let room = self.room();
        let one_more = |taken: usize| (taken < room).then_some(taken + 1);
        let taken = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok()?;
        Some(Arc::new(Stream {
            connection: Arc::clone(self),
            freed: Arc::clone(freed),
        }))
    }

    /// Takes no further request; those under way come to their end.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    /// Whether nobody may use it any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_retired.load(Ordering::Acquire) || self.sender.is_closed()
    }

    /// Since when none of its streams has been taken, by the monotonic clock.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let is_idle = self.taken.load(Ordering::Acquire) == 0;
        is_idle.then(|| Duration::from_millis(self.idle_since.load(Ordering::Acquire)))
    }

    /// How many answers have begun so far.
    pub(super) fn heads(&self) -> usize {
        self.heads.load(Ordering::Acquire)
    }
}

impl Stream {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Sends a request. Whoever drops what waits for its answer resets this stream alone.
    pub(super) fn send(&self, request: Request<Lent>) -> impl Future<Output = Sent> + use<> {
        let sent = self.connection.sender.clone().try_send_request(request);
        let connection = Arc::clone(&self.connection);
        async move {
            let answer = sent.await;
            if answer.is_ok() {
                connection.heads.fetch_add(1, Ordering::AcqRel);
            }
            answer
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let connection = &self.connection;
        let now = millis(&connection.clock);
        connection.idle_since.store(now, Ordering::Release);
        connection.taken.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

fn builder(drivers: Drivers) -> http2::Builder<Drivers> {
    let mut builder = http2::Builder::new(drivers);
    builder
        .timer(TokioTimer::new())
        // None before the app has said how many: it would refuse what is beyond that.
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .max_send_buf_size(SEND_BUFFER)
        .max_local_error_reset_streams(PROVOKED_RESETS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// How many requests the app takes at once, bounded by our own number; none as long as it has not said.
fn room(inside: &Inside) -> usize {
    let driven = lock(inside);
    let room = driven.as_ref().map(Driven::current_max_send_streams);
    room.unwrap_or_default().min(MAX_STREAMS)
}

/// Hands requests from hyper's queue to h2 until the connection is over.
async fn drive(inside: Inside) -> hyper::Result<()> {
    poll_fn(|context| {
        let mut slot = lock(&inside);
        let Some(driven) = &mut *slot else {
            return Poll::Ready(Ok(()));
        };
        let polled = Pin::new(driven).poll(context);
        if polled.is_ready() {
            // It would keep the socket open.
            *slot = None;
        }
        polled
    })
    .await
    .inspect_err(|error| tracing::debug!(%error, "a connection to the app ended"))
}

/// Runs what hyper wants to have run: first the connection itself, then what belongs to single streams.
#[derive(Clone)]
struct Drivers(Arc<Mutex<Option<OfConnection>>>);

struct OfConnection {
    seat: Seat,
    heard: Arc<Notify>,
}

impl Drivers {
    fn new(seat: Seat, heard: &Arc<Notify>) -> Self {
        let heard = Arc::clone(heard);
        Self(Arc::new(Mutex::new(Some(OfConnection { seat, heard }))))
    }
}

impl<F> Executor<F> for Drivers
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let Some(OfConnection { seat, heard }) = lock(&self.0).take() else {
            tokio::spawn(future);
            return;
        };
        tokio::spawn(async move {
            // Until the socket is closed, which is here.
            let _seat = seat;
            let mut future = pin!(future);
            poll_fn(|context| {
                let polled = future.as_mut().poll(context);
                heard.notify_waiters();
                polled
            })
            .await;
        });
    }
}

fn millis(clock: &Clock) -> u64 {
    u64::try_from(clock.now().monotonic.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
