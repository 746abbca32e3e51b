//! Connects to an app at one of its addresses, whatever it is. A name's addresses are tried one after
//! another, so that one that nobody answers at (an unrouted IPv6 address, say) does not use up what the
//! next one needs.
//!
//! Never takes longer in all than an app may take, a TLS handshake included, and knows nothing of what
//! is spoken afterwards.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    select,
};

use super::{error::UpstreamError, stream::UpstreamStream, tls::AppTls};
use crate::{
    clock::Clock,
    config::route::{Authority, UpstreamAddress},
};

/// How long an app may take to accept a connection, its name's resolution and TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// After this long without a byte the system asks whether the app's machine is still there, and this
/// often.
const QUIET: Duration = Duration::from_mins(1);

/// How long a socket of this machine is left alone whose queue is full: the system says so at once.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// The way to one address of an app.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Tcp(Authority),
    Tls(Authority, Arc<AppTls>, ServerName<'static>),
    Unix(Arc<Path>),
}

impl Way {
    /// To an address; `None` if there is to be TLS and it is not said how, or for no possible name.
    pub(super) fn to(address: &UpstreamAddress, tls: Option<&Arc<AppTls>>) -> Option<Self> {
        Some(match address {
            UpstreamAddress::Http(authority) => Self::Tcp(authority.clone()),
            UpstreamAddress::Https(authority) => {
                let tls = tls?;
                let name = tls.name_at(authority)?;
                Self::Tls(authority.clone(), Arc::clone(tls), name)
            }
            UpstreamAddress::Unix(path) => Self::Unix(path.as_path().into()),
        })
    }
}

/// An open connection to the app.
///
/// # Errors
/// Returns [`UpstreamError::Connect`], [`UpstreamError::Tls`] if the app is not to be trusted, or
/// [`UpstreamError::ConnectTimeout`] after five seconds.
pub(super) async fn dial(way: &Way, clock: &Clock) -> Result<UpstreamStream, UpstreamError> {
    select! {
        biased;
        stream = open(way, clock) => stream,
        () = clock.sleep(CONNECT_TIMEOUT) => Err(UpstreamError::ConnectTimeout),
    }
}

async fn open(way: &Way, clock: &Clock) -> Result<UpstreamStream, UpstreamError> {
    Ok(match way {
        Way::Tcp(authority) => UpstreamStream::Tcp(tcp(authority, clock).await?),
        Way::Tls(authority, tls, name) => {
            let stream = tls.speak(name, tcp(authority, clock).await?).await?;
            UpstreamStream::Tls(Box::new(stream))
        }
        Way::Unix(path) => {
            let stream = socket(path, clock).await;
            UpstreamStream::Unix(stream.map_err(UpstreamError::Connect)?)
        }
    })
}

async fn tcp(to: &Authority, clock: &Clock) -> Result<TcpStream, UpstreamError> {
    let host = to.host.strip_prefix('[').unwrap_or(&to.host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let stream = connect(host, to.port, CONNECT_TIMEOUT, clock).await;
    let stream = stream.map_err(UpstreamError::Connect)?;
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    // An app that is gone without a word would never be missed by whoever only listens to it.
    let keep_alive = TcpKeepalive::new().with_time(QUIET).with_interval(QUIET);
    let socket = SockRef::from(&stream);
    socket
        .set_tcp_keepalive(&keep_alive)
        .map_err(UpstreamError::Connect)?;
    Ok(stream)
}

/// A connection to a socket of this machine, once there is room in its queue.
async fn socket(path: &Path, clock: &Clock) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            // Where TCP would let the peer wait, the system answers EAGAIN (connect(2)).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                clock.sleep(QUEUE_PAUSE).await;
            }
            connected => return connected,
        }
    }
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

    #[tokio::test]
    async fn a_socket_whose_queue_is_full_is_waited_for() {
        // S-294
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket
            .bind(&socket2::SockAddr::unix(&path).unwrap())
            .unwrap();
        socket.listen(0).unwrap();
        let clock = Clock::system();
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
        }
        let way = Way::Unix(path.as_path().into());
        let dialling = tokio::spawn(async move { dial(&way, &clock).await.is_ok() });
        tokio::task::yield_now().await;
        assert!(!dialling.is_finished(), "a full queue is no refusal");
        drop(socket.accept().unwrap());
        let dialled = tokio::time::timeout(Duration::from_secs(10), dialling);
        assert!(dialled.await.expect("in time").unwrap());
        let nowhere = Way::Unix(folder.path().join("other.sock").as_path().into());
        let refused = dial(&nowhere, &Clock::system()).await;
        assert!(matches!(refused, Err(UpstreamError::Connect(_))));
    }
}
