//! Gives up a connection whose client takes next to nothing of what is ready for it: a body that nobody
//! takes would keep its app's connection, its buffers and its place for ever, whatever becomes of its
//! session.
//!
//! A client has a minute of patience. It runs out while a write stands still and comes back with what
//! is written, at 500 bytes a second: one that takes nothing has its minute, one that takes a drop now
//! and then little more, and one that takes 500 bytes a second on average never runs out of it. A
//! client that reads, and one for which there is nothing, is left alone. What the layers below keep in
//! buffers of their own counts as written, so that a slow line moves in large steps; each has to come
//! within that minute.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Patience;

/// How long a client may take nothing of what is ready for it.
pub(super) const WRITE_STALL: Duration = Duration::from_mins(1);

/// A stream on which a write that stands still for too long is an error.
pub(super) struct WriteStall<I> {
    io: I,
    patience: Patience,
}

impl<I> WriteStall<I> {
    pub(super) fn new(io: I, longest: Duration) -> Self {
        let patience = Patience::full(longest);
        Self { io, patience }
    }

    pub(super) fn into_inner(self) -> I {
        self.io
    }

    /// Passes on what a write came to, unless there is no patience left.
    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => {
                ready!(self.patience.waits(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Ready(Ok(written)) => self.patience.moves(bytes(written)),
            Poll::Ready(Err(_)) => {}
        }
        written
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
        this.judge(written, |count| *count, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(context);
        this.judge(flushed, |()| 0, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(context);
        this.judge(shut, |()| 0, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, pieces);
        this.judge(written, |count| *count, context)
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
mod tests;
