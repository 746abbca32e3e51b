//! The sockets of the listener without TLS of its own, over TCP or in the file system (`unix(7)`), and
//! the connections that come out of them.
//!
//! A file is taken over only from a process that is gone: whoever still answers there keeps it, and what
//! is no socket is left alone.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use super::{
    accept::{BACKLOG, BindError, ListeningSocket, Listens, Sockets},
    lingering::Layered,
    proxy_protocol::{self, Heralded, ReceiveError},
};
use crate::config::{listener::OVER_UNIX, plain_address::PlainAddress};

/// Owner and group may connect: a front of another user is let in by the group.
const MODE: u32 = 0o660;

/// A socket that is listened on already.
#[derive(Debug)]
pub enum PlainSocket {
    /// Of TCP.
    Tcp(StdTcpListener),
    /// In the file system.
    Unix {
        /// Its file, unless somebody else opened it. Before the socket: as long as that is open no other
        /// file can be taken for this one.
        file: Option<Arc<BoundFile>>,
        /// The socket.
        socket: StdUnixListener,
    },
}

/// The listening sockets of one address, one per thread.
#[derive(Debug)]
pub struct PlainSockets {
    address: PlainAddress,
    sockets: Vec<PlainSocket>,
}

/// The file of a socket, which goes with the last of its threads.
#[derive(Debug)]
pub struct BoundFile {
    path: PathBuf,
    /// Device and number: another process may have put its own there.
    is: (u64, u64),
}

/// A socket that a runtime waits for.
#[derive(Debug)]
pub enum PlainListener {
    /// Of TCP.
    Tcp(TcpListener),
    /// In the file system.
    Unix {
        /// As in [`PlainSocket`], and as long.
        file: Option<Arc<BoundFile>>,
        /// The socket.
        listener: UnixListener,
    },
}

/// A connection that came out of one.
#[derive(Debug)]
pub enum PlainStream {
    /// Of TCP.
    Tcp(TcpStream),
    /// In the file system.
    Unix(UnixStream),
}

impl PlainSocket {
    /// Where it listens.
    ///
    /// # Errors
    /// Returns the system's error if that cannot be told, or it has no name.
    pub fn address(&self) -> io::Result<PlainAddress> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(PlainAddress::Tcp),
            Self::Unix { socket, .. } => {
                let address = socket.local_addr()?;
                let path = address.as_pathname().ok_or(io::ErrorKind::InvalidInput)?;
                Ok(PlainAddress::Unix(path.to_owned()))
            }
        }
    }

    fn shared(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                socket.try_clone().map(Self::Tcp)
            }
            Self::Unix { file, socket } => {
                socket.set_nonblocking(true)?;
                let file = file.clone();
                let socket = socket.try_clone()?;
                Ok(Self::Unix { file, socket })
            }
        }
    }
}

impl PlainSockets {
    /// Takes `address` for `count` threads. Those of a unix socket share one.
    ///
    /// # Errors
    /// Returns [`BindError`] if the address is taken, foreign to this machine, or not allowed.
    pub fn bind(address: &PlainAddress, count: usize) -> Result<Self, BindError> {
        let path = match address {
            PlainAddress::Tcp(address) => {
                let sockets = Sockets::bind(*address, count)?;
                return Ok(Self {
                    address: PlainAddress::Tcp(sockets.address()),
                    sockets: sockets
                        .into_listeners()
                        .into_iter()
                        .map(PlainSocket::Tcp)
                        .collect(),
                });
            }
            PlainAddress::Unix(path) => path,
        };
        let bound = bound_at(path);
        let bound = bound.map_err(|source| BindError::new(address, source))?;
        Self::shared(&bound, count)
    }

    /// Those of a socket that was handed over, which all of `count` threads accept from.
    ///
    /// # Errors
    /// Returns [`BindError`] if the system does not let it be shared.
    pub fn shared(socket: &PlainSocket, count: usize) -> Result<Self, BindError> {
        let address = socket.address();
        let address = address.map_err(|source| BindError::new(&"a socket", source))?;
        let shared = (0..count.max(1)).map(|_| socket.shared());
        let sockets = shared.collect::<io::Result<Vec<_>>>();
        Ok(Self {
            sockets: sockets.map_err(|source| BindError::new(&address, source))?,
            address,
        })
    }

    /// The address, with the port that the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &PlainAddress {
        &self.address
    }

    /// The sockets themselves.
    #[must_use]
    pub fn into_sockets(self) -> Vec<PlainSocket> {
        self.sockets
    }
}

/// A socket at `path`, which nobody can connect to before its rights are what they should be.
fn bound_at(path: &Path) -> io::Result<PlainSocket> {
    remove_left_over(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let is = identity_of(path)?;
    let file = BoundFile {
        path: path.to_owned(),
        is,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    Ok(PlainSocket::Unix {
        file: Some(Arc::new(file)),
        socket: socket.into(),
    })
}

/// A process that was killed leaves its file, at which nobody answers.
fn remove_left_over(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(_) => {}
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for BoundFile {
    fn drop(&mut self) {
        if identity_of(&self.path).is_ok_and(|is| is == self.is)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "failed to remove a socket's file");
        }
    }
}

impl ListeningSocket for PlainSocket {
    type Listener = PlainListener;

    fn listener(self) -> io::Result<PlainListener> {
        Ok(match self {
            Self::Tcp(socket) => PlainListener::Tcp(socket.listener()?),
            Self::Unix { file, socket } => PlainListener::Unix {
                file,
                listener: UnixListener::from_std(socket)?,
            },
        })
    }
}

impl Listens for PlainListener {
    type Stream = PlainStream;

    async fn next(&self) -> io::Result<(PlainStream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.next().await?;
                Ok((PlainStream::Tcp(stream), address))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((PlainStream::Unix(stream), (OVER_UNIX, 0).into()))
            }
        }
    }
}

impl Heralded for PlainStream {
    async fn header(&mut self) -> Result<Option<SocketAddr>, ReceiveError> {
        match self {
            Self::Tcp(stream) => stream.header().await,
            Self::Unix(stream) => proxy_protocol::receive_slowly(stream).await,
        }
    }
}

impl Layered for PlainStream {
    type Lowest = Self;

    fn lowest(&mut self) -> &mut Self {
        self
    }
}

/// One call for either kind.
macro_rules! either {
    ($it:expr, $stream:ident => $call:expr) => {
        match $it.get_mut() {
            PlainStream::Tcp($stream) => $call,
            PlainStream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for PlainStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        // Both kinds are; the trait has no way to ask them through a `Pin`.
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path) -> Result<PlainSockets, BindError> {
        PlainSockets::bind(&PlainAddress::Unix(path.to_owned()), 2)
    }

    #[test]
    fn a_socket_lies_where_it_is_written_for_owner_and_group_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.sock");
        let sockets = bind(&path).unwrap();
        assert_eq!(sockets.sockets.len(), 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        drop(sockets);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_a_process_that_is_gone_is_taken_over_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        let first = bind(&path).unwrap();
        assert!(bind(&path).is_err(), "somebody answers there");
        assert!(StdUnixStream::connect(&path).is_ok(), "and still does");
        drop(first);
        fs::write(&path, "somebody's file").unwrap();
        assert!(bind(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"somebody's file");
    }

    #[test]
    fn the_file_of_a_successor_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.sock");
        let sockets = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let successor = StdUnixListener::bind(&path).unwrap();
        drop(sockets);
        assert!(StdUnixStream::connect(&path).is_ok());
        drop(successor);
    }
}
