//! A stream of which some bytes were read before it was handed over: they come first, and once.
//!
//! Never changes a byte, and never holds one back.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with what was read of it.
pub(super) struct Rewound<I> {
    ahead: Bytes,
    io: I,
}

impl<I> Rewound<I> {
    /// `pieces` were read from `io`, in this order.
    pub(super) fn new(pieces: [Bytes; 3], io: I) -> Self {
        // Clients wait for the answer before they go on: there is hardly ever a piece.
        let ahead = if pieces.iter().all(Bytes::is_empty) {
            Bytes::new()
        } else {
            pieces.into_iter().flatten().collect::<BytesMut>().freeze()
        };
        Self { ahead, io }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Rewound<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.io).poll_read(context, buffer);
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead.split_to(length));
        if this.ahead.is_empty() {
            // An empty rest would keep the whole piece in memory.
            this.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Rewound<I> {
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
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_read_before_comes_first_and_once() {
        for pieces in [["ab", "", "c"], ["", "", ""], ["", "abc", ""]] {
            let (ours, mut theirs) = duplex(64);
            let mut ours = Rewound::new(pieces.map(Bytes::from), ours);
            theirs.write_all(b"def").await.unwrap();
            drop(theirs);
            let mut all = String::new();
            ours.read_to_string(&mut all).await.unwrap();
            assert_eq!(all, format!("{}def", pieces.concat()));
        }
    }
}
