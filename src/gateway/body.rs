//! The body of an answer: the app's, passed on piece by piece, or a page of ours.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::{context::RequestId, failure::tell_of_app, routes::RouteEntry};
use crate::{
    telemetry::{SharedMetrics, chain},
    upstream::{AnswerBody, error::BodyError},
};

/// The body of an answer.
pub enum GatewayBody {
    /// The app's.
    Answer(Followed),
    /// Ours.
    Own(Full<Bytes>),
}

/// The body of an app's answer; if it fails by a fault of the app's, that is told once.
pub struct Followed {
    body: AnswerBody,
    request_id: RequestId,
    route: Arc<RouteEntry>,
    metrics: SharedMetrics,
}

impl Followed {
    pub(super) fn new(
        body: AnswerBody,
        request_id: RequestId,
        route: Arc<RouteEntry>,
        metrics: SharedMetrics,
    ) -> Self {
        Self {
            body,
            request_id,
            route,
            metrics,
        }
    }

    fn tell(&self, error: &BodyError) {
        let (route, request_id) = (self.route.route.id.0.as_str(), self.request_id.as_str());
        if let Some(reason) = error.fault_of_app() {
            tell_of_app(&self.metrics, Some(route), request_id, reason, error);
        } else {
            let error = chain(error);
            tracing::debug!(
                request_id,
                route,
                error,
                "an answer was not passed on whole"
            );
        }
    }
}

/// The answer to a HEAD: the length that GET would have got, and nothing of it (RFC 9110 9.3.2).
///
/// Over HTTP/2 hyper sends whatever body an answer has, and clients take that for a broken stream.
/// The app's answer to a HEAD has no body by itself.
pub(super) fn head_only(response: Response<GatewayBody>) -> Response<GatewayBody> {
    let (mut parts, body) = response.into_parts();
    let GatewayBody::Own(own) = body else {
        return Response::from_parts(parts, body);
    };
    if let Some(length) = own.size_hint().exact() {
        let length = HeaderValue::from(length);
        parts.headers.insert(CONTENT_LENGTH, length);
    }
    Response::from_parts(parts, GatewayBody::Own(Full::default()))
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Answer(followed) => {
                let polled = Pin::new(&mut followed.body).poll_frame(context);
                // Nothing comes behind a failure, so there is one at most.
                if let Poll::Ready(Some(Err(error))) = &polled {
                    followed.tell(error);
                }
                polled
            }
            Self::Own(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer(followed) => followed.body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Answer(followed) => followed.body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
