//! The body of an answer: the app's, passed on piece by piece, or a page of ours.
//!
//! It carries the record of its request, which is told how the body went.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::record::Record;
use crate::upstream::{AnswerBody, Tunnel, error::BodyError};

/// The body of an answer, with the record of its request: when it is dropped, the exchange is over.
pub struct GatewayBody {
    source: Source,
    /// Nothing if it went elsewhere, with the connection.
    record: Option<Record>,
}

/// Where the bytes of an answer come from.
pub(super) enum Source {
    /// The app.
    Answer(AnswerBody),
    /// A page of ours.
    Own(Full<Bytes>),
    /// Nowhere: there is none. The app has switched protocols, and this is the way to it.
    Switched(Box<Tunnel>),
}

impl GatewayBody {
    pub(super) fn new(source: Source, record: Record) -> Self {
        let record = Some(record);
        Self { source, record }
    }

    /// The body of an answer that has none, and of which somebody else keeps the record.
    pub(super) fn none() -> Self {
        Self {
            source: Source::Own(Full::default()),
            record: None,
        }
    }
}

impl Drop for GatewayBody {
    fn drop(&mut self) {
        // Whoever knows that nothing more comes need not have asked for it.
        if let Some(record) = &mut self.record
            && self.source.is_whole()
        {
            record.whole();
        }
    }
}

/// The answer to a HEAD: the length that GET would have got, and nothing of it (RFC 9110 9.3.2).
///
/// Over HTTP/2 hyper sends whatever body an answer has, and clients take that for a broken stream.
/// The app's answer to a HEAD has no body by itself.
pub(super) fn head_only(response: Response<Source>) -> Response<Source> {
    let (mut parts, body) = response.into_parts();
    let Source::Own(own) = body else {
        return Response::from_parts(parts, body);
    };
    if let Some(length) = own.size_hint().exact() {
        let length = HeaderValue::from(length);
        parts.headers.insert(CONTENT_LENGTH, length);
    }
    Response::from_parts(parts, Source::Own(Full::default()))
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { source, record } = self.get_mut();
        let polled = source.poll_frame(context);
        let Some(record) = record else {
            return polled;
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => record.whole(),
            Poll::Ready(Some(Ok(frame))) => record.passed(frame.data_ref().map_or(0, Bytes::len)),
            // Nothing comes behind a failure, so there is one at most.
            Poll::Ready(Some(Err(error))) => record.broken_off(error),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Answer(body) => body.size_hint(),
            Source::Own(body) => body.size_hint(),
            Source::Switched(_) => SizeHint::with_exact(0),
        }
    }
}

impl Source {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Answer(body) => Pin::new(body).poll_frame(context),
            Self::Own(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Switched(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
            Self::Switched(_) => true,
        }
    }

    /// Whether all that there is of it was handed on.
    fn is_whole(&self) -> bool {
        match self {
            Self::Answer(body) => body.is_whole(),
            Self::Own(body) => body.is_end_stream(),
            Self::Switched(_) => true,
        }
    }
}
