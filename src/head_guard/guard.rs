//! The reader itself, and what others may see of it. Knows no grammar.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HeadFault;

/// How much of a head is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadLimits {
    /// Most bytes, from the first line to the empty one.
    pub head_bytes: usize,
    /// Most fields.
    pub headers: usize,
    /// Most bytes of a target.
    pub target_bytes: usize,
}

/// A connection whose messages are looked at on their way in.
#[derive(Debug)]
pub struct HeadGuard<I> {
    io: I,
    watch: Watch,
}

/// What others may see of a guard while hyper has it.
#[derive(Clone, Debug)]
pub struct Watch(Arc<State>);

/// Tells the guard of an app's connection what its next answer is to.
#[derive(Clone, Debug)]
pub struct Expected(Arc<State>);

#[derive(Debug, Default)]
struct State {
    fault: OnceLock<HeadFault>,
}

impl<I> HeadGuard<I> {
    /// Looks at the requests of a client.
    ///
    /// After a fault in a head nothing more is read: the reader stays pending, [`Watch::fault`] says
    /// why, and whoever serves the connection answers it once what came before is answered. After a
    /// fault in a body reads fail with `InvalidData`.
    #[must_use]
    pub fn of_requests(io: I, limits: HeadLimits) -> Self {
        let _ = limits;
        Self {
            io,
            watch: Watch(Arc::default()),
        }
    }

    /// Looks at the answers of an app. After any fault reads fail with `InvalidData`.
    #[must_use]
    pub fn of_answers(io: I, limits: HeadLimits) -> (Self, Expected) {
        let guard = Self::of_requests(io, limits);
        let expected = Expected(Arc::clone(&guard.watch.0));
        (guard, expected)
    }

    /// What may be seen of it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The connection, without the guard.
    #[must_use]
    pub fn into_inner(self) -> I {
        self.io
    }
}

impl Watch {
    /// The fault that ended the reading, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<HeadFault> {
        self.0.fault.get().copied()
    }

    /// Waits for a fault in a head.
    pub async fn faulted(&self) -> HeadFault {
        std::future::pending().await
    }

    /// How many heads have been let through to their end.
    #[must_use]
    pub fn heads(&self) -> u64 {
        0
    }

    /// Whether the last message has come to its end and not a byte of the next has come.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        true
    }
}

impl Expected {
    /// The next answer is to a request whose answer has no body whatever its head says (HEAD), or to
    /// any other.
    pub fn next_answer(&self, without_body: bool) {
        let _ = without_body;
    }

    /// The fault that ended the reading, if there is one.
    #[must_use]
    pub fn fault(&self) -> Option<HeadFault> {
        self.0.fault.get().copied()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadGuard<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadGuard<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
