//! The HTTP/1.1 client: sends a request at most once and takes its answer's head. What is to go over HTTP/2
//! it hands on.
//!
//! One for each data thread, so that its connections are driven where they are used. A request is
//! sent a second time only if hyper hands it back unsent, or once more if it may be repeated (S-098);
//! what is in doubt is never used again. What an answer is, a guard says before hyper sees it (S-096, S-225). Every connection has a
//! seat (S-260).

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_TYPE, HOST},
};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
};

use super::{
    app::{App, Reached},
    body::{AnswerBody, Progress, UpstreamBody},
    connect::dial,
    connection_bound,
    error::{AnswerFault, UpstreamError},
    http2::Http2Client,
    lease::{Lease, Watch},
    pool::{Connection, Pool},
    repeat::Repeat,
    seated::Seated,
    seats::{Caller, Place, Seat, Seats},
    tries::Tries,
};
use crate::{
    clock::Clock,
    head_guard::{Expected, HeadGuard, HeadLimits},
};

/// How long an app may take between two pieces of an answer, or to take a piece of a request.
const LONGEST_QUIET: Duration = Duration::from_mins(5);

/// How much of the head of an answer is read.
pub(super) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 64 * 1024,
    // Beyond that hyper makes room for them on the heap, for every answer anew.
    headers: 100,
    target_bytes: 0,
};

/// What hyper counts as part of a head and the guard does not.
const EMPTY_LINE: usize = 2;

/// What is read of an answer at once, and held of a request that the app does not take: no head needs
/// more, and a client that takes nothing has a few of these held for each of its streams.
const BUFFER: usize = LIMITS.head_bytes + 4 * 1024;

/// Sends requests to apps, over connections that it keeps. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct UpstreamClient {
    clock: Clock,
    seats: Arc<Seats>,
    /// By the app's number.
    pools: Arc<Mutex<HashMap<u64, Arc<Pool>>>>,
    http2: Http2Client,
}

impl UpstreamClient {
    /// A client without connections, which shares `seats` with those of other threads.
    #[must_use]
    pub fn new(clock: Clock, seats: Arc<Seats>) -> Self {
        Self {
            http2: Http2Client::new(clock.clone()),
            clock,
            seats,
            pools: Arc::default(),
        }
    }

    /// The clock it measures by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The seats it takes.
    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Sends a request of `caller` whose fields and framing are as the app shall see them, in the version
    /// of HTTP that it says.
    ///
    /// `head_timeout` runs from the end of the request to the head of the answer. The lease of the
    /// request's body holds for the answer's too. `reached` is told at which address of the app the
    /// request is.
    ///
    /// # Errors
    /// Returns [`UpstreamError`] if there is no answer, or none that can be passed on.
    pub async fn send(
        &self,
        app: &App,
        caller: Caller,
        request: Request<UpstreamBody>,
        head_timeout: Duration,
        reached: &Reached,
    ) -> Result<Response<AnswerBody>, UpstreamError> {
        if request.version() == Version::HTTP_2 {
            let send = self.http2.send(app, caller, request, head_timeout, reached);
            return Box::pin(send).await;
        }
        let answered = self
            .exchange(app, caller, request, head_timeout, reached)
            .await?;
        // The guard lets everything through behind it: there is nothing that it could mean (S-087).
        if answered.answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::UnaskedUpgrade);
        }
        answered.streams(self.clock.clone())
    }

    /// Sends a request over HTTP/1.1 and takes the head of its answer, whatever that says.
    pub(super) async fn exchange(
        &self,
        app: &App,
        caller: Caller,
        request: Request<UpstreamBody>,
        head_timeout: Duration,
        reached: &Reached,
    ) -> Result<Answered, UpstreamError> {
        let pool = self.pool(app);
        let exchange = Exchange {
            clock: &self.clock,
            head_timeout,
            progress: request.body().progress(),
        };
        let lease = request.body().lease();
        let is_bound = connection_bound::is_asked_for(request.headers());
        let turn = pool.seats().turn(caller, &self.clock).await?;
        let tries = Tries::begin(app, &self.clock, reached);
        let (answer, mut connection) = exchange.run(&pool, app, tries, request).await?;
        connection.carry(turn);
        // Whoever answers before the request is whole may not read the rest of it as a body.
        let is_early = exchange.progress.as_ref().is_some_and(|it| !it.is_sent());
        if is_early || is_bound || connection_bound::is_offered(answer.headers()) {
            connection.spoil();
        }
        Ok(Answered {
            answer,
            connection,
            pool,
            request: exchange.progress,
            lease,
        })
    }

    /// The idle connections to one app.
    pub(super) fn pool(&self, app: &App) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&app.seats.id()) {
            return Arc::clone(pool);
        }
        // Whatever no route leads to any more goes, with its idle connections.
        pools.retain(|_, pool| !pool.seats().is_retired());
        let pool = Pool::new(self.clock.clone(), Arc::clone(&app.seats));
        pools.insert(app.seats.id(), Arc::clone(&pool));
        pool
    }
}

/// The head of an answer, and all that its rest hangs on.
pub(super) struct Answered {
    pub(super) answer: Response<Incoming>,
    pub(super) connection: Connection,
    pool: Arc<Pool>,
    /// How far the body of the request has come, if it has one.
    request: Option<Arc<Progress>>,
    pub(super) lease: Option<Arc<dyn Lease>>,
}

impl Answered {
    /// The answer, as long as its request may go on.
    pub(super) fn streams(self, clock: Clock) -> Result<Response<AnswerBody>, UpstreamError> {
        let Self {
            answer,
            connection,
            pool,
            request,
            lease,
        } = self;
        let longest_quiet = longest_quiet(answer.headers());
        let watch = Watch::new(clock, lease, longest_quiet);
        watch.check().map_err(UpstreamError::of_end)?;
        Ok(answer.map(|incoming| AnswerBody::new(incoming, connection, pool, request, watch)))
    }
}

struct Exchange<'a> {
    clock: &'a Clock,
    head_timeout: Duration,
    /// That of the request's body, if it has one.
    progress: Option<Arc<Progress>>,
}

impl Exchange<'_> {
    async fn run(
        &self,
        pool: &Pool,
        app: &App,
        mut tries: Tries<'_>,
        mut request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Connection), UpstreamError> {
        let mut idle = pool.take(tries.at());
        let mut may_repeat = true;
        loop {
            let (mut connection, is_fresh) = match idle.take() {
                Some(idle) => (idle, false),
                // On the heap: most requests find one that is idle.
                None => Box::pin(self.connection(pool, &mut tries)).await?,
            };
            if let Some(host) = tries.reach().and_then(|reach| reach.host.clone()) {
                request.headers_mut().insert(HOST, host);
            }
            // A fresh connection that breaks is the app's fault: only another address may do better.
            let may_help = may_repeat && (!is_fresh || app.has_several());
            let repeat = may_help.then(|| Repeat::of(&request)).flatten();
            match self.attempt(&mut connection, request).await {
                Ok(answer) => {
                    connection.weigh(tries.succeeded());
                    return Ok((answer, connection));
                }
                Err(Failure::Unsent(unsent, error)) => {
                    request = *unsent;
                    if is_fresh {
                        let error = UpstreamError::of_exchange(error);
                        tries.failed(&error);
                        if !tries.go_on() {
                            return Err(error);
                        }
                    }
                }
                Err(Failure::Final(error)) => {
                    if is_fresh {
                        tries.failed(&error);
                    }
                    let is_silent = error.is_break() && connection.expected.is_outstanding();
                    let Some(repeat) = repeat.filter(|_| is_silent) else {
                        return Err(error);
                    };
                    if !tries.go_on() && is_fresh {
                        return Err(error);
                    }
                    request = repeat.into_request();
                    may_repeat = false;
                }
            }
        }
    }

    /// A connection to the address whose turn it is, or to the next one that takes one; and whether it
    /// is a fresh one.
    async fn connection(
        &self,
        pool: &Pool,
        tries: &mut Tries<'_>,
    ) -> Result<(Connection, bool), UpstreamError> {
        loop {
            let seat = match pool.seats().place(self.clock).await? {
                Place::Free(seat) => seat,
                Place::Left(left) => {
                    tries.is_at(left.at());
                    return Ok((left, false));
                }
            };
            let error = match self.connect(tries, seat).await {
                Ok(connection) => return Ok((connection, true)),
                Err(error) => error,
            };
            tries.failed(&error);
            if !tries.go_on() {
                return Err(error);
            }
            if let Some(idle) = pool.take(tries.at()) {
                return Ok((idle, false));
            }
        }
    }

    async fn attempt(
        &self,
        connection: &mut Connection,
        request: Request<UpstreamBody>,
    ) -> Result<Response<Incoming>, Failure> {
        // Connecting takes time, and nothing may be sent after the end.
        if let Err(ended) = request.body().check() {
            return Err(Failure::Final(UpstreamError::of_end(ended)));
        }
        let Connection {
            sender, expected, ..
        } = connection;
        expected.next_answer(request.method() == Method::HEAD);
        let mut answer = pin!(sender.try_send_request(request));
        let progress = self.progress.as_deref();
        let mut timed_out = pin!(timed_out(self.clock, self.head_timeout, progress));
        let answer = select! {
            biased;
            answer = &mut answer => answer,
            () = &mut timed_out => return Err(Failure::Final(UpstreamError::HeadTimeout)),
        };
        answer.map_err(|mut failed| match failed.take_message() {
            Some(unsent) => Failure::Unsent(Box::new(unsent), failed.into_error()),
            None => Failure::Final(of_exchange(failed.into_error(), expected)),
        })
    }

    async fn connect(&self, tries: &Tries<'_>, seat: Seat) -> Result<Connection, UpstreamError> {
        let reach = tries.reach().ok_or(UpstreamError::ConnectTimeout)?;
        let stream = Seated::new(dial(&reach.way, self.clock).await?, seat);
        let Spoken {
            sender,
            expected,
            driver,
        } = speak(stream).await.map_err(UpstreamError::BrokenOff)?;
        // The socket is closed there, later than its connection is dropped, or by whoever it is handed to.
        let driver = driver.with_upgrades();
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told; on an idle connection nobody need be.
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the app ended");
            }
        });
        let (driver, at) = (driver.abort_handle(), tries.at());
        Ok(Connection::new(sender, expected, driver, at))
    }
}

/// Waits until the app has had its time: for the head once the request is whole, until then for each
/// piece of the request.
pub(super) async fn timed_out(clock: &Clock, head_timeout: Duration, progress: Option<&Progress>) {
    let Some(progress) = progress else {
        return clock.sleep(head_timeout).await;
    };
    loop {
        let limit = if progress.is_sent() {
            head_timeout
        } else {
            LONGEST_QUIET
        };
        let end = progress.moved_at().saturating_add(limit);
        let left = end.saturating_sub(clock.now().monotonic);
        if left.is_zero() {
            return;
        }
        // A request that becomes whole in the meantime has the head's time from then on.
        let wait = left.min(head_timeout.max(Duration::from_millis(1)));
        clock.sleep(wait).await;
    }
}

/// An open connection over which HTTP/1.1 is spoken.
pub(super) struct Spoken<I, B>
where
    I: AsyncRead + AsyncWrite + Unpin,
    B: Body + 'static,
{
    pub(super) sender: http1::SendRequest<B>,
    /// Told before each request what its answer is to be.
    pub(super) expected: Expected,
    /// Nothing moves unless it is driven.
    pub(super) driver: http1::Connection<TokioIo<HeadGuard<I>>, B>,
}

/// Speaks HTTP/1.1 over an open connection; what an answer is, a guard says before hyper sees it.
#[expect(clippy::disallowed_methods, reason = "one of the two HTTP clients")]
pub(super) async fn speak<I, B>(stream: I) -> Result<Spoken<I, B>, hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (stream, expected) = HeadGuard::of_answers(stream, LIMITS);
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(BUFFER)
        .max_header_size(LIMITS.head_bytes + EMPTY_LINE)
        .max_headers(LIMITS.headers)
        .handshake(TokioIo::new(stream))
        .await?;
    Ok(Spoken {
        sender,
        expected,
        driver,
    })
}

enum Failure {
    Final(UpstreamError),
    /// Nothing of the request was sent; it may be sent elsewhere.
    Unsent(Box<Request<UpstreamBody>>, hyper::Error),
}

/// What a failed exchange was: to hyper, what the guard refuses is a connection that cannot be read.
fn of_exchange(error: hyper::Error, expected: &Expected) -> UpstreamError {
    match (UpstreamError::of_exchange(error), expected.fault()) {
        (UpstreamError::BrokenOff(_), Some(fault)) => {
            UpstreamError::BadAnswer(AnswerFault::Refused(fault))
        }
        (error, _) => error,
    }
}

/// How long an app may take between two pieces of an answer: a quiet event stream is not idle, and
/// neither is a stream of gRPC.
pub(super) fn longest_quiet(headers: &HeaderMap) -> Duration {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return LONGEST_QUIET;
    };
    let content_type = content_type.as_bytes();
    let end = content_type.iter().position(|byte| *byte == b';');
    let media_type = content_type[..end.unwrap_or(content_type.len())].trim_ascii();
    let is_event_stream = media_type.eq_ignore_ascii_case(b"text/event-stream");
    if is_event_stream || is_grpc(headers) {
        Duration::MAX
    } else {
        LONGEST_QUIET
    }
}

/// Whether a message says that it is one of gRPC, in whatever encoding.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let begun = content_type.and_then(|it| it.get(..GRPC.len()));
    begun.is_some_and(|begun| begun.eq_ignore_ascii_case(GRPC))
}
