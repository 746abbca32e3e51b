//! Binding and accepting: one listening socket per data thread, one task per connection.
//!
//! The sockets of one address share it (`SO_REUSEPORT`), so that each thread accepts for itself. A
//! taken address is an error even when its holder would share it too: two vestibules on one address
//! would each refuse half of the other's sign-ins.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use super::{
    room::Room,
    shutdown::{Phase, Shutdown},
};

/// How many finished handshakes of TCP may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long to wait before the next try when the system has no sockets left.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// An address could not be listened on.
#[derive(Debug, Error)]
#[error("failed to listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
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
        let fail = |source| BindError { address, source };
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
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
pub async fn accept<F>(
    listener: StdListener,
    room: Room,
    shutdown: Shutdown,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    let mut failing = false;
    loop {
        let next = async {
            let (stream, address) = listener.accept().await?;
            // Only now: a seat that was taken in advance would be one that nobody sits on.
            io::Result::Ok((stream, address, room.seat().await))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = shutdown.reached(Phase::Draining) => return Ok(()),
        };
        match accepted {
            Ok((stream, address, seat)) => {
                failing = false;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(peer = %address, %error, "failed to set TCP_NODELAY");
                }
                let serving = shutdown.track(serve(stream, address));
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
