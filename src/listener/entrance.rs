//! The way in of a fresh TCP connection: whom it is from, and the handshake of TLS; all within one time
//! limit.
//!
//! Never serves anything to whoever speaks no TLS, but tells a client so that speaks plain HTTP.

use std::{future::Future, io};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use thiserror::Error;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    clear_text::{ClearText, LONGEST_START},
    connection::{Caller, Terms},
    doorstep::{Doorstep, MeetingError, Met},
    lingering::linger,
    proxy_protocol::Heralded,
    refusal,
    room::OF_ROOM,
    shutdown::Phase,
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::{
    clock::Clock,
    config::listener::{Limits, Listen},
    telemetry::{Seldom, chain},
};

/// The way in of a listener; all its threads share one.
pub struct Entrance {
    doorstep: Doorstep,
    acceptor: TlsAcceptor,
    clock: Clock,
    plain_client: Seldom,
    unnamed_front: Seldom,
}

/// A connection that has come in.
pub(super) struct Entered {
    /// The connection, after its handshake.
    pub(super) stream: Box<TlsStream<TcpStream>>,
    pub(super) caller: Caller,
    pub(super) met: Met,
}

#[derive(Debug, Error)]
enum EntryError {
    #[error("it speaks no TLS")]
    ClearText(ClearText, TcpStream),
    #[error("failed to complete the TLS handshake")]
    Handshake(#[source] io::Error),
    #[error(transparent)]
    Meeting(#[from] MeetingError),
}

impl Entrance {
    /// The way in to a listener.
    #[must_use]
    pub fn new(acceptor: TlsAcceptor, listen: &Listen, limits: &Limits, clock: Clock) -> Self {
        Self {
            doorstep: Doorstep::new(listen, limits, clock.clone()),
            acceptor,
            clock,
            plain_client: Seldom::default(),
            unnamed_front: Seldom::default(),
        }
    }

    /// The way in by new rules, with the connections counted that came in by these.
    #[must_use]
    pub fn renewed(&self, listen: &Listen) -> Self {
        Self {
            doorstep: self.doorstep.renewed(listen),
            acceptor: self.acceptor.clone(),
            clock: self.clock.clone(),
            plain_client: Seldom::default(),
            unnamed_front: Seldom::default(),
        }
    }

    /// Lets a connection in, or says in log and metrics why not. Also `None` once a stop has begun.
    pub(super) async fn enter(
        &self,
        stream: TcpStream,
        mut caller: Caller,
        terms: &Terms,
    ) -> Option<Entered> {
        let arrived = caller.arrived;
        let entering = timeout(
            terms.limits.tls_timeout,
            self.try_enter(stream, &mut caller),
        );
        match unless_unwanted(entering, arrived, terms).await? {
            Ok(Ok((stream, met))) => Some(Entered {
                stream,
                caller,
                met,
            }),
            Ok(Err(error)) => {
                self.report(&error, caller, terms);
                if let EntryError::ClearText(ClearText::Http, stream) = error {
                    let telling = Box::pin(tell_of_tls(stream, &self.clock));
                    unless_unwanted(telling, arrived, terms).await;
                }
                None
            }
            Err(_) => {
                terms.metrics.connection_cut("tls_timeout");
                let Caller { address, front, .. } = caller;
                let front = front.map(tracing::field::display);
                tracing::debug!(peer = %address, front, "a client took too long over the TLS handshake");
                None
            }
        }
    }

    async fn try_enter(
        &self,
        mut stream: TcpStream,
        caller: &mut Caller,
    ) -> Result<(Box<TlsStream<TcpStream>>, Met), EntryError> {
        let met = self.doorstep.meet(&mut stream, caller).await?;
        // Before the handshake takes them away: its error does not say what it was given.
        let mut start = [0; LONGEST_START];
        let seen = stream
            .peek(&mut start)
            .await
            .map_err(EntryError::Handshake)?;
        if let Some(it) = ClearText::of(start.get(..seen).unwrap_or_default()) {
            return Err(EntryError::ClearText(it, stream));
        }
        let stream = self.acceptor.accept(stream).await;
        let stream = stream.map(Box::new).map_err(EntryError::Handshake)?;
        Ok((stream, met))
    }

    fn report(&self, error: &EntryError, caller: Caller, terms: &Terms) {
        let Caller { address, front, .. } = caller;
        let front = front.map(tracing::field::display);
        match error {
            EntryError::ClearText(ClearText::Http, _) => {
                if self.plain_client.is_due(self.clock.now().wall) {
                    tracing::warn!(
                        peer = %address,
                        front,
                        "a client speaks plain HTTP to the port that serves HTTPS: use https:// \
                         there; [listen] http serves a port that sends clients here"
                    );
                }
            }
            EntryError::ClearText(ClearText::ProxyHeader, _) => {
                if self.unnamed_front.is_due(self.clock.now().wall) {
                    tracing::warn!(
                        peer = %address,
                        front,
                        "a connection was closed because it begins with a PROXY header: if it is from \
                         a front of yours, name it in [listen] trusted_proxies and set \
                         proxy_protocol = true"
                    );
                }
            }
            EntryError::Handshake(_) => {}
            EntryError::Meeting(error) => return self.doorstep.report(error, caller, terms),
        }
        tracing::debug!(peer = %address, front, error = chain(error), "a connection was not let in");
    }
}

impl Doorstep {
    /// Lets a connection in that speaks no TLS and should not, or says in log and metrics why not.
    /// Also `None` once a stop has begun.
    pub(super) async fn enter<S: Heralded>(
        &self,
        mut stream: S,
        mut caller: Caller,
        terms: &Terms,
    ) -> Option<(S, Caller, Met)> {
        let (arrived, limit) = (caller.arrived, terms.limits.head_timeout);
        let entering = timeout(limit, self.meet(&mut stream, &mut caller));
        match unless_unwanted(entering, arrived, terms).await? {
            Ok(Ok(met)) => Some((stream, caller, met)),
            Ok(Err(error)) => {
                self.report(&error, caller, terms);
                None
            }
            Err(_) => {
                terms.metrics.connection_cut("head_timeout");
                None
            }
        }
    }
}

/// What `entering` comes to; `None` if a stop begins or somebody else needs the place meanwhile.
async fn unless_unwanted<T>(
    entering: impl Future<Output = T>,
    arrived: Instant,
    terms: &Terms,
) -> Option<T> {
    tokio::select! {
        biased;
        entered = entering => Some(entered),
        () = terms.shutdown.reached(Phase::Draining) => None,
        () = terms.pressure.asked_of_stranger(arrived) => {
            terms.metrics.connection_cut(OF_ROOM);
            None
        }
    }
}

/// Answers a client that speaks plain HTTP, whatever it asked for.
async fn tell_of_tls(stream: TcpStream, clock: &Clock) {
    let mut answer = Response::new(Bytes::from_static(b"This port speaks HTTPS.\n"));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, text);
    let bytes = refusal::written(&answer, clock.now().wall);
    let mut stream = WriteStall::new(stream, WRITE_STALL);
    if stream.write_all(&bytes).await.is_ok() {
        linger(stream).await;
    }
}
