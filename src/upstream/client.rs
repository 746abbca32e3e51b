//! The HTTP/1.1 client: sends a request at most once and takes its answer's head.
//!
//! One for each data thread, so that its connections are driven where they are used. A request is
//! sent a second time only if hyper hands it back unsent (S-098); what is in doubt is never used
//! again. The limits on heads are hyper's, with our figures (RFC 9112).

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, select};

use super::{
    body::{AnswerBody, Progress, UpstreamBody},
    connection_bound,
    error::{AnswerFault, UpstreamError},
    lease::Watch,
    pool::{Connection, Pool},
};
use crate::{clock::Clock, config::route::UpstreamAddress};

/// How long an app may take to accept a connection, its name's resolution included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an app may take between two pieces of an answer, or to take a piece of a request.
const LONGEST_QUIET: Duration = Duration::from_mins(5);

/// Largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Most fields of an answer.
const MAX_FIELDS: usize = 256;

/// Sends requests to apps, over connections that it keeps. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct UpstreamClient {
    clock: Clock,
    pools: Arc<Mutex<HashMap<UpstreamAddress, Arc<Pool>>>>,
}

impl UpstreamClient {
    /// A client without connections.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            pools: Arc::default(),
        }
    }

    /// The clock it measures by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a request whose fields and framing are as the app shall see them.
    ///
    /// `head_timeout` runs from the end of the request to the head of the answer. The lease of the
    /// request's body holds for the answer's too.
    ///
    /// # Errors
    /// Returns [`UpstreamError`] if there is no answer, or none that can be passed on.
    pub async fn send(
        &self,
        to: &UpstreamAddress,
        request: Request<UpstreamBody>,
        head_timeout: Duration,
    ) -> Result<Response<AnswerBody>, UpstreamError> {
        let pool = self.pool(to);
        let exchange = Exchange {
            clock: &self.clock,
            head_timeout,
            progress: request.body().progress(),
        };
        let lease = request.body().lease();
        let is_bound = connection_bound::is_asked_for(request.headers());
        let (answer, mut connection) = exchange.run(&pool, to, request).await?;
        let answer = readable(answer)?;
        // Whoever answers before the request is whole may not read the rest of it as a body.
        let is_early = exchange.progress.as_ref().is_some_and(|it| !it.is_sent());
        if is_early || is_bound || connection_bound::is_offered(answer.headers()) {
            connection.spoil();
        }
        let longest_quiet = if is_event_stream(answer.headers()) {
            Duration::MAX
        } else {
            LONGEST_QUIET
        };
        let watch = Watch::new(self.clock.clone(), lease, longest_quiet);
        if watch.check().is_err() {
            return Err(UpstreamError::LeaseOver);
        }
        let request = exchange.progress;
        Ok(answer.map(|incoming| AnswerBody::new(incoming, connection, pool, request, watch)))
    }

    /// The idle connections to one app.
    pub(super) fn pool(&self, to: &UpstreamAddress) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(to) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(self.clock.clone()));
        pools.insert(to.clone(), Arc::clone(&pool));
        pool
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
        to: &UpstreamAddress,
        mut request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Connection), UpstreamError> {
        if let Some(mut idle) = pool.take() {
            match self.attempt(&mut idle.sender, request).await {
                Ok(answer) => return Ok((answer, idle)),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unsent(unsent, _)) => request = *unsent,
            }
        }
        let mut fresh = self.connect(to).await?;
        match self.attempt(&mut fresh.sender, request).await {
            Ok(answer) => Ok((answer, fresh)),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Unsent(_, error)) => Err(UpstreamError::BrokenOff(error)),
        }
    }

    async fn attempt(
        &self,
        sender: &mut SendRequest<UpstreamBody>,
        request: Request<UpstreamBody>,
    ) -> Result<Response<Incoming>, Failure> {
        // Connecting takes time, and nothing may be sent after the end.
        if request.body().check().is_err() {
            return Err(Failure::Final(UpstreamError::LeaseOver));
        }
        let mut answer = pin!(sender.try_send_request(request));
        let mut timed_out = pin!(self.timed_out());
        let answer = select! {
            biased;
            answer = &mut answer => answer,
            () = &mut timed_out => return Err(Failure::Final(UpstreamError::HeadTimeout)),
        };
        answer.map_err(|mut failed| match failed.take_message() {
            Some(unsent) => Failure::Unsent(Box::new(unsent), failed.into_error()),
            None => Failure::Final(UpstreamError::of_exchange(failed.into_error())),
        })
    }

    /// Waits until the app has had its time: for the head once the request is whole, until then for
    /// each piece of the request.
    async fn timed_out(&self) {
        let Some(progress) = &self.progress else {
            return self.clock.sleep(self.head_timeout).await;
        };
        loop {
            let limit = if progress.is_sent() {
                self.head_timeout
            } else {
                LONGEST_QUIET
            };
            let end = progress.moved_at().saturating_add(limit);
            let left = end.saturating_sub(self.clock.now().monotonic);
            if left.is_zero() {
                return;
            }
            // A request that becomes whole in the meantime has the head's time from then on.
            let wait = left.min(self.head_timeout.max(Duration::from_millis(1)));
            self.clock.sleep(wait).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "one of the two HTTP clients")]
    async fn connect(&self, to: &UpstreamAddress) -> Result<Connection, UpstreamError> {
        let host = to.host.strip_prefix('[').unwrap_or(&to.host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let stream = select! {
            biased;
            stream = TcpStream::connect((host, to.port)) => stream.map_err(UpstreamError::Connect)?,
            () = self.clock.sleep(CONNECT_TIMEOUT) => return Err(UpstreamError::ConnectTimeout),
        };
        stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
        let (sender, driver) = http1::Builder::new()
            .max_header_size(MAX_HEAD_BYTES)
            .max_headers(MAX_FIELDS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::BrokenOff)?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told; on an idle connection nobody need be.
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the app ended");
            }
        });
        Ok(Connection::new(sender, driver.abort_handle()))
    }
}

enum Failure {
    Final(UpstreamError),
    /// Nothing of the request was sent; it may be sent elsewhere.
    Unsent(Box<Request<UpstreamBody>>, hyper::Error),
}

/// Refuses what the client's side would have to guess at (S-087, S-225).
fn readable(answer: Response<Incoming>) -> Result<Response<Incoming>, UpstreamError> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(UpstreamError::UnaskedUpgrade);
    }
    match framing_fault(answer.headers()) {
        Some(fault) => Err(UpstreamError::BadAnswer(fault)),
        None => Ok(answer),
    }
}

fn framing_fault(headers: &HeaderMap) -> Option<AnswerFault> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if let Some(coding) = codings.next() {
        let is_chunked = coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked");
        if !is_chunked || codings.next().is_some() {
            return Some(AnswerFault::TransferCoding);
        }
        return length.map(|_| AnswerFault::Length);
    }
    let length = length?.as_bytes();
    let is_number = (1..=19).contains(&length.len()) && length.iter().all(u8::is_ascii_digit);
    (!is_number || lengths.next().is_some()).then_some(AnswerFault::Length)
}

/// A quiet event stream is not idle.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let media_type = media_type.as_bytes();
    let end = media_type.iter().position(|byte| *byte == b';');
    media_type[..end.unwrap_or(media_type.len())]
        .trim_ascii()
        .eq_ignore_ascii_case(b"text/event-stream")
}
