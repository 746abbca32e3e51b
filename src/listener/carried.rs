//! The stream that hyper is lent: it gives back bytes that were read ahead, and outlives hyper.
//!
//! hyper may end its part without the connection ending: its shutdown flushes and no more. Bytes are
//! never changed, dropped or given twice.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are read ahead at once: the head of most requests.
const AHEAD: usize = 2048;

/// A stream that is lent out and comes back.
#[derive(Debug)]
pub(super) struct Carried<I> {
    io: I,
    /// Read already, and to be read next.
    ahead: Bytes,
    at_end: bool,
    settled: Settled,
}

/// Whether everything that was written has been handed to the system.
#[derive(Clone, Debug)]
pub(super) struct Settled(Arc<AtomicBool>);

impl Settled {
    pub(super) fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, settled: bool) {
        self.0.store(settled, Ordering::Release);
    }
}

impl<I> Carried<I> {
    pub(super) fn new(io: I) -> Self {
        Self {
            io,
            ahead: Bytes::new(),
            at_end: false,
            settled: Settled(Arc::new(AtomicBool::new(true))),
        }
    }

    /// Whether everything written is out; true as long as nothing was written.
    pub(super) fn settled(&self) -> Settled {
        self.settled.clone()
    }

    /// Whether the other side has said that nothing more will come.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// The stream, and what was read of it that nobody has taken.
    pub(super) fn into_parts(self) -> (I, Bytes) {
        (self.io, self.ahead)
    }
}

impl<I: AsyncRead + Unpin> Carried<I> {
    /// Waits for bytes, and keeps them to be read next. No bytes are the end of the stream.
    ///
    /// Nothing is lost if the waiting is given up. The bytes are those of the stream itself, not of
    /// the socket below: some of them may lie decrypted in memory already.
    pub(super) fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ahead.is_empty() {
            let mut room = [const { MaybeUninit::uninit() }; AHEAD];
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *self).poll_read(context, &mut buffer))?;
            self.ahead = Bytes::copy_from_slice(buffer.filled());
        }
        Poll::Ready(Ok(self.ahead.len()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Carried<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(&this.ahead.split_to(length));
            if this.ahead.is_empty() {
                // An empty rest would keep the whole piece in memory.
                this.ahead = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let room = buffer.remaining();
        let polled = Pin::new(&mut this.io).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            this.at_end |= room > 0 && buffer.remaining() == room;
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Carried<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.settled.set(false);
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(context))?;
        // hyper flushes the stream only when it keeps nothing back itself.
        this.settled.set(true);
        Poll::Ready(Ok(()))
    }

    /// Flushes. Whoever has lent the stream ends it.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.settled.set(false);
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_read_ahead_come_first_and_once() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Carried::new(ours);
        theirs.write_all(b"abc").await.unwrap();
        for _ in 0..2 {
            let ahead = poll_fn(|context| ours.poll_read_ahead(context)).await;
            assert_eq!(ahead.unwrap(), 3);
        }
        theirs.write_all(b"def").await.unwrap();
        let mut two = [0; 2];
        ours.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"ab");
        assert!(!ours.is_at_end());
        drop(theirs);
        let mut rest = String::new();
        ours.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "cdef");
        assert!(ours.is_at_end());
    }

    #[tokio::test]
    async fn what_hyper_ends_goes_on() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = Carried::new(ours);
        let settled = ours.settled();
        assert!(settled.holds());
        ours.write_all(b"ab").await.unwrap();
        assert!(!settled.holds());
        ours.shutdown().await.unwrap();
        assert!(settled.holds());
        ours.write_all(b"cd").await.unwrap();
        let mut came = [0; 4];
        theirs.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"abcd");
    }
}
