//! The end of a connection whose client may still be sending: it is told so, and given the time to
//! read what was answered (RFC 9112 9.6).
//!
//! A socket that is closed with bytes unread answers with a reset, and a reset destroys the answer
//! that the client has not read yet. So what still comes is read and thrown away: below TLS, and
//! never looked at.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use super::write_stall::WriteStall;

/// How long a client may say nothing before it counts as having heard: a long round trip.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a client is listened to in all: whoever sends on has stopped reading answers.
const LONGEST: Duration = Duration::from_secs(5);
/// How much is thrown away: more than the buffers of both sockets hold (`tcp_rmem` and `tcp_wmem`
/// allow 6 MiB and 4 MiB unless changed), so that a client in the middle of an upload gets to read.
const MOST: usize = 16 * 1024 * 1024;
/// How long a client that has nothing under way may hold up its goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that knows the one below it.
pub(super) trait Layered {
    /// The lowest one: the socket.
    type Lowest: AsyncRead + Unpin + Send;

    /// The socket itself, whose bytes mean nothing any more.
    fn lowest(&mut self) -> &mut Self::Lowest;
}

impl Layered for TcpStream {
    type Lowest = Self;

    fn lowest(&mut self) -> &mut Self {
        self
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send> Layered for Box<TlsStream<I>> {
    type Lowest = I;

    fn lowest(&mut self) -> &mut I {
        self.get_mut().0
    }
}

/// Ends our side, then reads away what the client still sends, within limits.
pub(super) async fn linger<I>(mut io: WriteStall<I>)
where
    I: AsyncRead + AsyncWrite + Layered + Unpin,
{
    // What was answered may take a slow reader long: only standing still ends that.
    if io.shutdown().await.is_err() {
        return;
    }
    let mut io = io.into_inner();
    // Whether it ends by the client, by the limits or by a fault is all the same.
    let _ = timeout(LONGEST, discard(io.lowest(), PAUSE)).await;
}

/// Ends both sides of a connection that has nothing under way.
pub(super) async fn part<I: AsyncRead + AsyncWrite + Unpin>(mut io: WriteStall<I>) {
    let _ = timeout(GOODBYE, io.shutdown()).await;
}

async fn discard(io: &mut (impl AsyncRead + Unpin), pause: Duration) {
    let mut buffer = [0; 4096];
    let mut left = MOST;
    while let Ok(Ok(read)) = timeout(pause, io.read(&mut buffer)).await {
        if read == 0 || read >= left {
            return;
        }
        left -= read;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_pause_ends_the_listening() {
        let (mut ours, mut theirs) = duplex(64);
        let pause = Duration::from_millis(20);
        theirs.write_all(b"some more").await.unwrap();
        discard(&mut ours, pause).await;
        // Nothing of it is left for anybody.
        let read = timeout(pause, ours.read(&mut [0; 1])).await;
        assert!(read.is_err(), "{read:?}");
    }

    #[tokio::test]
    async fn a_flood_ends_by_its_amount() {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        let flooding = tokio::spawn(async move {
            let piece = vec![0; 64 * 1024];
            let mut sent = 0;
            while theirs.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            sent
        });
        discard(&mut ours, PAUSE).await;
        drop(ours);
        assert!(flooding.await.unwrap() <= MOST + 128 * 1024);
    }
}
