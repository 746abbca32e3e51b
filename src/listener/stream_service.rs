//! What stands between HTTP/2 and the service: requests that h2 lets pass although HTTP/1.1 would
//! refuse them, and the pieces an answer's body goes out in (RFC 9113 8.1.1, 8.2.3).
//!
//! Never lets a refused request through to the service, and never changes one that it lets through.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response,
    header::{CONTENT_LENGTH, COOKIE},
    uri::{Authority, PathAndQuery},
};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, ext::Protocol, service::Service};

use super::{
    activity::{Activity, Counted, CountedBody},
    stream_tasks::note,
    switched::Switching,
};
use crate::{
    config::listener::Limits,
    handover::Handover,
    head_guard::{HeadFault, Known, RefuseHead, is_plain_length},
    telemetry::SharedMetrics,
};

/// The largest piece of a body that is handed on at once: what h2 holds of an answer whose last piece
/// nobody takes. One frame at its usual size.
const LARGEST_PIECE: usize = 16 * 1024;

/// The service of a connection, as its streams see it.
pub(super) struct StreamService<S> {
    counted: Counted<S>,
    limits: Arc<Limits>,
    metrics: SharedMetrics,
    stall: Duration,
}

impl<S> StreamService<S> {
    /// Streams whose answers hand them over end when their clients take nothing for `stall`.
    pub(super) fn new(
        service: S,
        activity: Activity,
        limits: Arc<Limits>,
        metrics: SharedMetrics,
        stall: Duration,
    ) -> Self {
        let counted = Counted { service, activity };
        Self {
            counted,
            limits,
            metrics,
            stall,
        }
    }

    fn switching(&self, request: &mut Request<Incoming>) -> Option<Box<Switching>> {
        let may_switch =
            request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_some();
        may_switch.then(|| {
            Box::new(Switching {
                stream: hyper::upgrade::on(request),
                activity: self.counted.activity.clone(),
                metrics: Arc::clone(&self.metrics),
                stall: self.stall,
            })
        })
    }
}

impl<S, B> Service<Request<Incoming>> for StreamService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + RefuseHead,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = Response<StreamBody<CountedBody<B>>>;
    type Error = Infallible;
    type Future = Answering<<Counted<S> as Service<Request<Incoming>>>::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        match fault_of(&request, &self.limits) {
            None => {
                let switching = self.switching(&mut request);
                Answering::Asked(self.counted.call(request), switching)
            }
            Some(fault) => {
                // It has come and gone: its connection is not one that asks for nothing.
                drop(self.counted.activity.begin());
                Answering::Refused(Some(
                    self.counted
                        .service
                        .refuse_known(fault, &Known::of_request(&request)),
                ))
            }
        }
    }
}

/// What of a head RFC 9113 leaves to whoever passes it on.
fn fault_of<T>(request: &Request<T>, limits: &Limits) -> Option<HeadFault> {
    let headers = request.headers();
    let target = request
        .uri()
        .path_and_query()
        .map_or("", PathAndQuery::as_str);
    if target.len() > limits.target_bytes {
        Some(HeadFault::TargetTooLong)
    } else if headers.len() > limits.headers && fields(headers) > limits.headers {
        Some(HeadFault::TooManyFields)
    } else if list_size(request) > limits.head_bytes {
        Some(HeadFault::TooLarge)
    } else if has_ambiguous_length(headers) {
        Some(HeadFault::AmbiguousLength)
    } else {
        None
    }
}

/// The largest list that h2 is told to take: somewhat more than `head_bytes`, because what goes beyond
/// it h2 answers by itself, without a word to anybody.
pub(super) fn largest_list(head_bytes: usize) -> usize {
    const MOST_ON_TOP: usize = 8 * 1024;
    // h2 takes less than what it is told.
    let on_top = (head_bytes / 4).min(MOST_ON_TOP).saturating_add(1);
    head_bytes.saturating_add(on_top)
}

/// The size of a head's field list, with its pseudo-fields (RFC 9113 6.5.2, 10.5.1).
fn list_size<T>(request: &Request<T>) -> usize {
    const PER_FIELD: usize = 32;
    let uri = request.uri();
    let protocol = request.extensions().get::<Protocol>();
    let pseudo = [
        (":protocol", protocol.map(Protocol::as_str)),
        (":method", Some(request.method().as_str())),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(Authority::as_str)),
        (":path", uri.path_and_query().map(PathAndQuery::as_str)),
    ];
    let pseudo = pseudo
        .into_iter()
        .filter_map(|(name, value)| Some((name.len(), value?.len())));
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| (name.as_str().len(), value.len()));
    pseudo
        .chain(fields)
        .map(|(name, value)| name.saturating_add(value).saturating_add(PER_FIELD))
        .fold(0, usize::saturating_add)
}

/// Fields as HTTP/1.1 would count them: a cookie comes in crumbs here and is one field there.
fn fields(headers: &HeaderMap) -> usize {
    let crumbs = headers.get_all(COOKIE).iter().count();
    headers.len() - crumbs.saturating_sub(1)
}

/// One length in plain digits is one reading; h2 takes equal ones for one.
fn has_ambiguous_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return false;
    };
    lengths.next().is_some() || !is_plain_length(length.as_bytes())
}

/// An answer to be.
pub(super) enum Answering<F> {
    /// With what it takes to hand the stream over, where that may be.
    Asked(F, Option<Box<Switching>>),
    /// `None` once it was given.
    Refused(Option<Response<Bytes>>),
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
{
    type Output = Result<Response<StreamBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Asked(answering, switching) => {
                let mut response = ready!(Pin::new(answering).poll(context))?;
                if let Some(switching) = switching.take()
                    && let Some(handover) = Handover::take_from(response.extensions_mut())
                {
                    switching.hand_over(handover);
                }
                Poll::Ready(Ok(response.map(StreamBody::served)))
            }
            Self::Refused(refusal) => match refusal.take() {
                Some(refusal) => Poll::Ready(Ok(refusal.map(StreamBody::refused))),
                None => Poll::Pending,
            },
        }
    }
}

/// The body of an answer, in pieces of a bounded size.
pub(super) struct StreamBody<B> {
    /// `None` for a refusal.
    body: Option<B>,
    /// What is left of the last piece, or of a refusal.
    rest: Bytes,
}

impl<B> StreamBody<B> {
    fn served(body: B) -> Self {
        Self {
            body: Some(body),
            rest: Bytes::new(),
        }
    }

    fn refused(rest: Bytes) -> Self {
        Self { body: None, rest }
    }

    fn next_piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(LARGEST_PIECE);
        Frame::data(self.rest.split_to(length))
    }
}

impl<B: Body<Data = Bytes> + Unpin> StreamBody<B> {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.next_piece())));
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        Pin::new(body).poll_frame(context).map_ok(|frame| {
            match frame.into_data() {
                Ok(data) if data.len() > LARGEST_PIECE => {
                    self.rest = data;
                    self.next_piece()
                }
                Ok(data) => Frame::data(data),
                // No data: trailers.
                Err(frame) => frame,
            }
        })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for StreamBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.get_mut().poll_piece(context);
        note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let Some(body) = &self.body else {
            return SizeHint::with_exact(rest);
        };
        let of_body = body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(rest));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        for (name, value) in fields {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        request
    }

    fn fault(fields: &[(&str, &str)]) -> Option<HeadFault> {
        fault_of(&request(fields), &Limits::default())
    }

    // S-258: over HTTP/2 as over HTTP/1.1.
    #[test]
    fn the_hundred_and_first_field_is_one_too_many() {
        let names: Vec<_> = (0..101).map(|number| format!("x-{number}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(fault(&fields[..100]), None);
        assert_eq!(fault(&fields), Some(HeadFault::TooManyFields));
        let doubled = [("x", "y"); 101];
        assert_eq!(fault(&doubled), Some(HeadFault::TooManyFields));
    }

    #[test]
    fn the_crumbs_of_a_cookie_are_one_field() {
        let mut fields = vec![("cookie", "a=b"); 300];
        fields.extend([("x", "y"); 99]);
        assert_eq!(fault(&fields), None);
        fields.push(("x", "y"));
        assert_eq!(fault(&fields), Some(HeadFault::TooManyFields));
    }

    #[test]
    fn a_length_is_one_field_of_plain_digits() {
        let length = |value| ("content-length", value);
        assert_eq!(fault(&[length("5")]), None);
        for broken in ["", "+5", "-5", "5,5", "0x5", "5 5", "5 "] {
            let broken = fault(&[length(broken)]);
            assert_eq!(broken, Some(HeadFault::AmbiguousLength));
        }
        let twice = fault(&[length("5"), length("5")]);
        assert_eq!(twice, Some(HeadFault::AmbiguousLength));
    }

    #[test]
    fn a_target_has_a_longest() {
        let mut request = request(&[]);
        for (length, expected) in [(8192, None), (8193, Some(HeadFault::TargetTooLong))] {
            let path = format!("/{}", "a".repeat(length - 1));
            *request.uri_mut() = path.parse().unwrap();
            assert_eq!(fault_of(&request, &Limits::default()), expected);
        }
    }

    // S-258
    #[test]
    fn a_field_list_has_a_largest_size_and_h2_is_told_to_take_a_little_more() {
        let head_bytes = Limits::default().head_bytes;
        let bare = list_size(&request(&[]));
        assert_eq!(bare, 32 + 7 + 3 + 32 + 5 + 1, "GET and a slash");
        let full = "x".repeat(head_bytes - bare - 32 - 1);
        assert_eq!(fault(&[("x", &full)]), None);
        let over = format!("{full}x");
        assert_eq!(fault(&[("x", &over)]), Some(HeadFault::TooLarge));
        let far = "x".repeat(largest_list(head_bytes) - bare - 32 - 1);
        assert_eq!(fault(&[("x", &far)]), Some(HeadFault::TooLarge));
        assert_eq!(largest_list(1024), 1024 + 256 + 1);
        assert_eq!(largest_list(1024 * 1024), 1024 * 1024 + 8 * 1024 + 1);
        assert_eq!(largest_list(usize::MAX), usize::MAX);
    }

    #[tokio::test]
    async fn a_body_goes_out_in_pieces_and_keeps_its_length() {
        let text: Bytes = (0..40_000_u32).map(|it| it.to_be_bytes()[3]).collect();
        let mut body = StreamBody::served(Full::new(text.clone()));
        assert_eq!(body.size_hint().exact(), Some(40_000));
        let mut sizes = Vec::new();
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            sizes.push(data.len());
            all.extend_from_slice(&data);
            let left = 40_000 - all.len() as u64;
            assert_eq!(body.size_hint().exact(), Some(left));
            assert_eq!(body.is_end_stream(), left == 0);
        }
        assert_eq!((sizes, all), (vec![16_384, 16_384, 7_232], text.to_vec()));
        let refused: StreamBody<Full<Bytes>> = StreamBody::refused(text.clone());
        assert_eq!(refused.size_hint().exact(), Some(40_000));
        assert_eq!(refused.collect().await.unwrap().to_bytes(), text);
    }
}
