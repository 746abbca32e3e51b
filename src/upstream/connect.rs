//! Connects to an app, whatever name it has: one address after another, so that one that nobody
//! answers at (an unrouted IPv6 address, say) does not use up what the next one needs.
//!
//! Never takes longer in all than an app may take, and knows nothing of what is spoken afterwards.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    select,
};

use super::error::UpstreamError;
use crate::{clock::Clock, config::route::UpstreamAddress};

/// How long an app may take to accept a connection, its name's resolution included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// After this long without a byte the system asks whether the app's machine is still there, and this
/// often.
const QUIET: Duration = Duration::from_mins(1);

/// What a connection to an app runs over.
pub(super) type UpstreamStream = TcpStream;

/// An open connection to the app at `to`.
///
/// # Errors
/// Returns [`UpstreamError::Connect`], or [`UpstreamError::ConnectTimeout`] after five seconds.
pub(super) async fn dial(
    to: &UpstreamAddress,
    clock: &Clock,
) -> Result<UpstreamStream, UpstreamError> {
    let host = to.host.strip_prefix('[').unwrap_or(&to.host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let stream = select! {
        biased;
        stream = connect(host, to.port, CONNECT_TIMEOUT, clock) => {
            stream.map_err(UpstreamError::Connect)?
        }
        () = clock.sleep(CONNECT_TIMEOUT) => return Err(UpstreamError::ConnectTimeout),
    };
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    // An app that is gone without a word would never be missed by whoever only listens to it.
    let keep_alive = TcpKeepalive::new().with_time(QUIET).with_interval(QUIET);
    let socket = SockRef::from(&stream);
    socket
        .set_tcp_keepalive(&keep_alive)
        .map_err(UpstreamError::Connect)?;
    Ok(stream)
}

/// A connection to the first address of `host` that takes one.
///
/// All but the last get an equal share of `time`; the last may go on for as long as it is awaited.
async fn connect(host: &str, port: u16, time: Duration, clock: &Clock) -> io::Result<TcpStream> {
    let found = lookup_host((host, port)).await?;
    let addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
    connect_to_any(&addresses, time, clock).await
}

async fn connect_to_any(
    addresses: &[SocketAddr],
    time: Duration,
    clock: &Clock,
) -> io::Result<TcpStream> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    let share = time / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in others {
        let taken = tokio::select! {
            biased;
            stream = TcpStream::connect(address) => stream.ok(),
            () = clock.sleep(share) => None,
        };
        if let Some(stream) = taken {
            return Ok(stream);
        }
    }
    TcpStream::connect(last).await
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// An address that takes no connection and refuses none: its queue is full.
    struct BlackHole {
        address: SocketAddr,
        _queue: (Socket, Vec<std::net::TcpStream>),
    }

    fn black_hole() -> BlackHole {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let patience = Duration::from_millis(200);
        let mut waiting = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
            waiting.push(stream);
        }
        BlackHole {
            address,
            _queue: (socket, waiting),
        }
    }

    #[tokio::test]
    async fn an_address_that_nobody_answers_at_leaves_time_for_the_next() {
        // S-294
        let hole = black_hole();
        let app = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let there = app.local_addr().unwrap();
        let refused = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let (clock, time) = (Clock::system(), Duration::from_secs(5));
        for addresses in [
            &[there][..],
            &[hole.address, there],
            &[refused, there],
            &[hole.address, refused, hole.address, there],
            &[there, hole.address],
        ] {
            let connecting = connect_to_any(addresses, time, &clock);
            let stream = tokio::time::timeout(time, connecting).await;
            let stream = stream.expect("in time").unwrap();
            assert_eq!(stream.peer_addr().unwrap(), there, "{addresses:?}");
        }
        let refusals = [refused, refused];
        assert!(connect_to_any(&refusals, time, &clock).await.is_err());
        assert!(connect_to_any(&[], time, &clock).await.is_err());
    }
}
