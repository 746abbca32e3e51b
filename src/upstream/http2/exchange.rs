//! Sends a request over HTTP/2 and takes the head of its answer.
//!
//! A request is sent again, once and over another connection, if the app provably did nothing with it and
//! nothing of its body is gone: it was refused, or came behind the last stream that the app still serves
//! (RFC 9113 6.8, 8.7). Everything else is sent at most once (S-097, S-098).

use std::{
    collections::HashMap,
    error::Error as _,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_LENGTH,
    request, uri::Authority,
};
use hyper::body::Incoming;
use tokio::select;

use super::{
    connection::{Connection, Stream},
    loan::Loan,
    pool::Http2Pool,
};
use crate::{
    clock::Clock,
    head_guard::HeadFault,
    upstream::{
        app::{App, Reached},
        body::{AnswerBody, Progress, UpstreamBody},
        client::{LIMITS, longest_quiet, timed_out},
        connection_bound,
        error::{AnswerFault, UpstreamError},
        lease::Watch,
        seats::Caller,
        standing::Load,
        tries::Tries,
    },
};

/// How often a request is sent at the most that nobody has ever read: connections may end one after the
/// other, as they do when an app is started anew.
const MOST_TRIES: usize = 3;

/// An app, by its number, and which of its addresses.
type Place = (u64, u8);

/// Sends requests over connections that they share. Cheap to clone; clones share them too.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Http2Client {
    clock: Clock,
    pools: Arc<Mutex<HashMap<Place, Arc<Http2Pool>>>>,
}

impl Http2Client {
    pub(in crate::upstream) fn new(clock: Clock) -> Self {
        Self {
            clock,
            pools: Arc::default(),
        }
    }

    /// Sends a request of `caller`; all else is as in [`UpstreamClient::send`].
    ///
    /// [`UpstreamClient::send`]: crate::upstream::UpstreamClient::send
    pub(in crate::upstream) async fn send(
        &self,
        app: &App,
        caller: Caller,
        request: Request<UpstreamBody>,
        head_timeout: Duration,
        reached: &Reached,
    ) -> Result<Response<AnswerBody>, UpstreamError> {
        let exchange = Exchange {
            client: self,
            app,
            head_timeout,
            progress: request.body().progress(),
        };
        let lease = request.body().lease();
        let is_head = request.method() == Method::HEAD;
        let turn = app.seats.turn(caller, &self.clock).await?;
        let tries = Tries::begin(app, &self.clock, reached);
        let (answer, stream, load) = exchange.run(tries, request).await?;
        if let Some(fault) = fault_of(answer.headers()) {
            return Err(UpstreamError::BadAnswer(AnswerFault::Refused(fault)));
        }
        if connection_bound::is_offered(answer.headers()) {
            stream.connection().retire();
        }
        let longest_quiet = longest_quiet(answer.headers());
        let watch = Watch::new(self.clock.clone(), lease, longest_quiet);
        watch.check().map_err(UpstreamError::of_end)?;
        let has_body = !is_head && !is_bodiless(answer.status());
        let request = exchange.progress;
        Ok(answer.map(|incoming| {
            AnswerBody::over_http2(incoming, has_body, stream, (turn, load), request, watch)
        }))
    }

    /// The connections to the address of an app whose turn it is.
    fn pool(&self, app: &App, tries: &Tries<'_>) -> Option<Arc<Http2Pool>> {
        let way = &tries.reach()?.way;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (app.seats.id(), tries.at());
        if let Some(pool) = pools.get(&place) {
            return Some(Arc::clone(pool));
        }
        // Whatever no route leads to any more goes, with its idle connections.
        pools.retain(|_, pool| !pool.seats().is_retired());
        let seats = Arc::clone(&app.seats);
        let pool = Http2Pool::new(self.clock.clone(), (tries.at(), way.clone()), seats);
        pools.insert(place, Arc::clone(&pool));
        Some(pool)
    }
}

struct Exchange<'a> {
    client: &'a Http2Client,
    app: &'a App,
    head_timeout: Duration,
    /// That of the request's body, if it has one.
    progress: Option<Arc<Progress>>,
}

impl Exchange<'_> {
    async fn run(
        &self,
        mut tries: Tries<'_>,
        request: Request<UpstreamBody>,
    ) -> Result<(Response<Incoming>, Arc<Stream>, Option<Load>), UpstreamError> {
        let is_bound = connection_bound::is_asked_for(request.headers());
        let (mut parts, mut body) = request.into_parts();
        let mut but = None;
        let mut tries_left = MOST_TRIES;
        loop {
            let found = self.stream(&tries, is_bound, but.as_ref()).await;
            let stream = match found {
                Ok(stream) => stream,
                Err(error) => {
                    tries.failed(&error);
                    if !tries.go_on() {
                        return Err(error);
                    }
                    but = None;
                    continue;
                }
            };
            if let Some(host) = tries.reach().and_then(|reach| reach.host.as_ref()) {
                parts.uri = at_host(parts.uri, host);
            }
            let (error, is_unsent) = match self.attempt(&stream, parts.clone(), body).await {
                Ok(answer) => return Ok((answer, stream, tries.succeeded())),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Unread(unread, error, is_unsent)) => {
                    body = unread;
                    (error, is_unsent)
                }
            };
            tries_left = if is_unsent {
                tries_left - 1
            } else {
                tries_left.min(2) - 1
            };
            if tries_left == 0 {
                return Err(error);
            }
            but = Some(Arc::clone(stream.connection()));
        }
    }

    /// A stream of a connection to the address whose turn it is.
    async fn stream(
        &self,
        tries: &Tries<'_>,
        is_bound: bool,
        but: Option<&Arc<Connection>>,
    ) -> Result<Arc<Stream>, UpstreamError> {
        let pool = self.client.pool(self.app, tries);
        let pool = pool.ok_or(UpstreamError::ConnectTimeout)?;
        if is_bound {
            pool.stream_apart().await
        } else {
            pool.stream(but).await
        }
    }

    async fn attempt(
        &self,
        stream: &Arc<Stream>,
        parts: request::Parts,
        body: UpstreamBody,
    ) -> Result<Response<Incoming>, Failure> {
        // Connecting takes time, and nothing may be sent after the end.
        if let Err(ended) = body.check() {
            return Err(Failure::Final(UpstreamError::of_end(ended)));
        }
        let heads = stream.connection().heads();
        let (loan, lent) = Loan::of(body, stream);
        let mut answer = pin!(stream.send(Request::from_parts(parts, lent)));
        let mut late = pin!(timed_out(
            &self.client.clock,
            self.head_timeout,
            self.progress.as_deref()
        ));
        let answer = select! {
            biased;
            answer = &mut answer => answer,
            () = &mut late => {
                if stream.connection().heads() == heads {
                    // Nobody else has heard of the app over it either.
                    stream.connection().retire();
                }
                return Err(Failure::Final(UpstreamError::HeadTimeout));
            }
        };
        answer.map_err(|mut failed| {
            let is_unsent = failed.take_message().is_some();
            let error = failed.into_error();
            let is_unread = is_unsent || is_unread(&error);
            match loan.take_fault() {
                Some(fault) => Failure::Final(UpstreamError::of_request_body(fault)),
                None => match loan.take_back().filter(|_| is_unread) {
                    Some(body) => Failure::Unread(body, of_stream(error), is_unsent),
                    None => Failure::Final(of_stream(error)),
                },
            }
        })
    }
}

/// The same target at an address that has a host of its own.
fn at_host(uri: Uri, host: &HeaderValue) -> Uri {
    let mut parts = uri.into_parts();
    if let Ok(authority) = Authority::try_from(host.as_bytes()) {
        parts.authority = Some(authority);
    }
    Uri::from_parts(parts).unwrap_or_default()
}

enum Failure {
    Final(UpstreamError),
    /// The app did nothing with it, and its body is whole; whether it was not even sent.
    Unread(UpstreamBody, UpstreamError, bool),
}

/// Whether the app says that it did nothing with the request.
fn is_unread(error: &hyper::Error) -> bool {
    let Some(error) = of_h2(error).filter(|error| error.is_remote()) else {
        return false;
    };
    // h2 tells of a GOAWAY those streams alone that came behind the last one the app serves.
    error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}

/// What h2 finds wrong with an answer by itself is an answer that cannot be read.
fn of_stream(error: hyper::Error) -> UpstreamError {
    if of_h2(&error).is_some_and(h2::Error::is_library) {
        UpstreamError::BadAnswer(AnswerFault::Head(error))
    } else {
        UpstreamError::BrokenOff(error)
    }
}

fn of_h2(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

/// What over HTTP/1.1 would be refused and h2 lets pass: more fields, or equal lengths for one.
fn fault_of(headers: &HeaderMap) -> Option<HeadFault> {
    if headers.len() > LIMITS.headers {
        Some(HeadFault::TooManyFields)
    } else if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        Some(HeadFault::AmbiguousLength)
    } else {
        None
    }
}

/// Answers that have no content whatever they say (RFC 9110 15.3.5, 15.4.5).
fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
