//! Binding and accepting: one listening socket per data thread, one task per connection.
//!
//! The sockets of one address share it (`SO_REUSEPORT`), so that each thread accepts for itself; one
//! that was handed over is shared itself, so that what waits in its queue outlives this process. A
//! taken address is an error even when its holder would share it too: two vestibules on one address
//! would each refuse half of the other's sign-ins.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use super::{
    room::Room,
    shutdown::{Phase, Shutdown},
};

/// How many finished handshakes of TCP may wait to be accepted.
pub(super) const BACKLOG: i32 = 1024;
/// How long to wait before the next try when the system has no sockets left.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// After this long without a byte the system asks whether a client's machine is still there, and this
/// often: one that is gone without a word would hold a quiet tunnel for ever.
const QUIET: Duration = Duration::from_mins(1);

/// An address could not be listened on.
#[derive(Debug, Error)]
#[error("failed to listen on {address}")]
pub struct BindError {
    address: String,
    #[source]
    source: io::Error,
}

impl BindError {
    pub(super) fn new(address: &impl ToString, source: io::Error) -> Self {
        let address = address.to_string();
        Self { address, source }
    }
}

/// A listening socket that no runtime waits for yet.
pub trait ListeningSocket {
    /// What a runtime waits for.
    type Listener: Listens;

    /// The same for the runtime that this is called on.
    ///
    /// # Errors
    /// Returns the error of registering it there.
    fn listener(self) -> io::Result<Self::Listener>;
}

impl ListeningSocket for StdListener {
    type Listener = TcpListener;

    fn listener(self) -> io::Result<TcpListener> {
        TcpListener::from_std(self)
    }
}

/// A listening socket that a runtime waits for.
pub trait Listens {
    /// What comes out of it.
    type Stream;

    /// The next connection, and where it is from.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Listens for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.accept().await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(peer = %address, %error, "failed to set TCP_NODELAY");
        }
        Ok((stream, address))
    }
}

/// The listening sockets of one address, one per thread.
#[derive(Debug)]
pub struct Sockets {
    address: SocketAddr,
    listeners: Vec<StdListener>,
}

impl Sockets {
    /// Takes `address` for `count` threads. Port 0 asks the system for a free one.
    ///
    /// # Errors
    /// Returns [`BindError`] if the address is taken, foreign to this machine, or not allowed.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Self, BindError> {
        let fail = |source| BindError::new(&address, source);
        // Alone first: with SO_REUSEPORT from the start a second process would succeed silently.
        // Bound but not listening, so that nobody is accepted whom nobody serves.
        let probe = bound(address, false).map_err(fail)?;
        let address = StdListener::from(probe).local_addr().map_err(fail)?;
        let listeners = (0..count.max(1))
            .map(|_| listening(address))
            .collect::<io::Result<Vec<_>>>()
            .map_err(fail)?;
        Ok(Self { address, listeners })
    }

    /// The address of a socket that was handed over, which all of `count` threads accept from. It
    /// stays open as long as anybody has it, whatever becomes of these.
    ///
    /// # Errors
    /// Returns [`BindError`] if the system does not let it be shared.
    pub fn shared(socket: &StdListener, count: usize) -> Result<Self, BindError> {
        let address = socket.local_addr();
        let address = address.map_err(|source| BindError::new(&"a socket", source))?;
        let fail = |source| BindError::new(&address, source);
        socket.set_nonblocking(true).map_err(fail)?;
        misses_the_dead(&SockRef::from(socket)).map_err(fail)?;
        let listeners = (0..count.max(1))
            .map(|_| socket.try_clone())
            .collect::<io::Result<Vec<_>>>()
            .map_err(fail)?;
        Ok(Self { address, listeners })
    }

    /// The address, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets themselves.
    #[must_use]
    pub fn into_listeners(self) -> Vec<StdListener> {
        self.listeners
    }
}

fn listening(address: SocketAddr) -> io::Result<StdListener> {
    let socket = bound(address, true)?;
    misses_the_dead(&SockRef::from(&socket))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections inherit it.
fn misses_the_dead(socket: &SockRef<'_>) -> io::Result<()> {
    let keep_alive = TcpKeepalive::new().with_time(QUIET).with_interval(QUIET);
    socket.set_tcp_keepalive(&keep_alive)
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Accepts connections until a stop begins; each is served in a tracked task of its own.
///
/// A connection that finds no `room` waits until there is some, and the ones behind it in the kernel's
/// queue; ones that have nothing under way are asked to go meanwhile.
///
/// # Errors
/// Returns the error of registering the socket with the runtime it is called on.
pub async fn accept<L, F>(
    socket: L,
    room: Room,
    shutdown: Shutdown,
    serve: impl Fn(<L::Listener as Listens>::Stream, SocketAddr) -> F,
) -> io::Result<()>
where
    L: ListeningSocket,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = socket.listener()?;
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            () = shutdown.reached(Phase::Closing) => return Ok(()),
        };
        match accepted {
            Ok((stream, address)) => {
                failing = false;
                // Only now: a seat that was taken in advance would be one that nobody sits on. And
                // longer than others are accepted: nobody else would take this one.
                let seat = tokio::select! {
                    seat = room.seat() => seat,
                    () = shutdown.reached(Phase::Draining) => return Ok(()),
                };
                // On the heap at once: it would be moved several times before it is.
                let serving = shutdown.track(Box::pin(serve(stream, address)));
                tokio::spawn(async move {
                    let _seat = seat;
                    serving.await;
                });
            }
            // The client is gone again: that is its own affair.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Once for a whole run of failures: there may be hundreds a second.
                if !failing {
                    tracing::warn!(%error, "failed to accept a connection");
                }
                failing = true;
                // Most likely there are no files left, of which each connection holds some.
                let _waiting = room.ask();
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_is_an_error_although_its_holder_shares_it() {
        let first = Sockets::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        assert_eq!(first.listeners.len(), 2);
        assert!(Sockets::bind(first.address(), 2).is_err());
        let address = first.address();
        drop(first);
        assert!(Sockets::bind(address, 1).is_ok());
    }
}
