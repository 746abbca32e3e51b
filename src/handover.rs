//! A connection, or a stream of one, that is handed over: from whoever speaks HTTP on it to whoever has
//! agreed with the client on another protocol (RFC 9110 7.8, RFC 8441).
//!
//! It travels in the extensions of the answer that says so. Neither side knows the other: the one has
//! the bytes, the other knows what they are for. Nothing is handed over twice; and what is dropped
//! without having been shut down was broken off, and must look so to the client.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite};

/// What is handed over: all bytes behind the head of the request, and the way back behind the head of
/// the answer.
pub type Stream = Box<dyn Duplex>;

/// The use of it, to its end.
pub type Use = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What is to become of a connection once its answer is out.
pub struct Handover(Box<dyn FnOnce(Stream) -> Use + Send>);

/// In the form in which extensions can hold it.
#[derive(Clone)]
struct Slip(Arc<Mutex<Option<Handover>>>);

impl Handover {
    /// Hands the stream to `takes`.
    pub fn to(takes: impl FnOnce(Stream) -> Use + Send + 'static) -> Self {
        Self(Box::new(takes))
    }

    /// Puts it into an answer's extensions.
    pub fn put_into(self, extensions: &mut Extensions) {
        extensions.insert(Slip(Arc::new(Mutex::new(Some(self)))));
    }

    /// Takes it out of an answer's extensions, if it is there.
    #[must_use]
    pub fn take_from(extensions: &mut Extensions) -> Option<Self> {
        let Slip(slip) = extensions.remove()?;
        slip.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lets the stream be used to its end.
    #[must_use]
    pub fn begin(self, stream: Stream) -> Use {
        (self.0)(stream)
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_handed_over_is_handed_over_once() {
        let mut extensions = Extensions::new();
        assert!(Handover::take_from(&mut extensions).is_none());
        let takes = |mut stream: Stream| -> Use {
            Box::pin(async move { stream.write_all(b"x").await.unwrap() })
        };
        Handover::to(takes).put_into(&mut extensions);
        let mut copy = extensions.clone();
        let handover = Handover::take_from(&mut extensions).unwrap();
        assert!(Handover::take_from(&mut copy).is_none());
        let (stream, mut other) = tokio::io::duplex(1);
        handover.begin(Box::new(stream)).await;
        assert_eq!(other.read_u8().await.unwrap(), b'x');
    }
}
