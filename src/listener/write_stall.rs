//! Gives up a connection whose client has stopped reading: a body that nobody takes would keep its
//! app's connection, its buffers and its place for ever, whatever becomes of its session.
//!
//! Only a write that makes no progress at all counts; a slow reader is left alone.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long a client may take nothing of what is ready for it.
pub(super) const WRITE_STALL: Duration = Duration::from_mins(1);

/// A stream on which a write that stands still for too long is an error.
pub(super) struct WriteStall<I> {
    io: I,
    longest: Duration,
    /// There while a write stands still.
    standing: Option<Pin<Box<Sleep>>>,
}

impl<I> WriteStall<I> {
    pub(super) fn new(io: I, longest: Duration) -> Self {
        Self {
            io,
            longest,
            standing: None,
        }
    }

    pub(super) fn into_inner(self) -> I {
        self.io
    }

    /// Passes on what a write came to, unless it has stood still for too long.
    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.standing = None;
            return written;
        }
        let longest = self.longest;
        let timer = self
            .standing
            .get_or_insert_with(|| Box::pin(sleep(longest)));
        match timer.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteStall<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.judge(written, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(context);
        this.judge(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(context);
        this.judge(shut, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, pieces);
        this.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteStall<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_write_that_nobody_reads_ends() {
        let (ours, _theirs) = duplex(16);
        let mut ours = WriteStall::new(ours, Duration::from_millis(20));
        let error = ours.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_reader_is_left_alone() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = WriteStall::new(ours, Duration::from_mins(1));
        let writing = tokio::spawn(async move { ours.write_all(&[7; 1024]).await });
        let mut read = Vec::new();
        let mut one = [0; 1];
        while theirs.read(&mut one).await.unwrap() == 1 {
            read.push(one[0]);
        }
        writing.await.unwrap().unwrap();
        assert_eq!(read, [7; 1024]);
    }
}
