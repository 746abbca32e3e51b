//! A service over HTTP/1.1 whose requests are counted, and which says when an answer is the last one.
//!
//! Decides nothing about a request and allocates nothing for it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode, header::CONNECTION};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;

use super::{
    activity::{Activity, CountedBody, UnderWay},
    shutdown::{Phase, Shutdown},
};
use crate::{handover::Handover, head_guard::Watch};

/// What is known about the exchanges of one connection.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) activity: Activity,
    pub(super) watch: Watch,
    retiring: AtomicBool,
    shutdown: Shutdown,
    /// What becomes of the connection behind an answer that switches protocols.
    handover: Mutex<Option<Handover>>,
}

impl Course {
    pub(super) fn new(watch: Watch, shutdown: Shutdown) -> Self {
        Self {
            activity: Activity::default(),
            watch,
            retiring: AtomicBool::new(false),
            shutdown,
            handover: Mutex::default(),
        }
    }

    /// Lets the next answer be the last one.
    pub(super) fn retire(&self) {
        self.retiring.store(true, Ordering::Release);
    }

    /// Whether the next answer is the last one. A stop that has begun counts at once, also before this
    /// connection has been woken by it.
    fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Acquire) || self.shutdown.phase() >= Phase::Draining
    }

    /// To whom the connection goes, if the last answer has switched protocols.
    pub(super) fn take_handover(&self) -> Option<Handover> {
        self.lock_handover().take()
    }

    fn lock_handover(&self) -> std::sync::MutexGuard<'_, Option<Handover>> {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every head that came has been answered, to the end of its answer.
    pub(super) fn is_answered(&self) -> bool {
        let seen = self.activity.seen();
        seen.is_at_rest() && self.watch.heads() <= seen.begun()
    }

    /// Whether something is under way that stays within the protocol.
    pub(super) fn is_served(&self) -> bool {
        !self.activity.seen().is_at_rest() && !self.watch.may_switch()
    }

    /// Whether everything is answered and not a byte of anything else has come.
    pub(super) fn is_idle(&self) -> bool {
        self.is_answered() && self.watch.is_between_messages()
    }

    /// Whether the body of the newest request has not come to its end.
    fn is_in_body(&self) -> bool {
        !self.watch.is_between_messages() && self.watch.heads() <= self.activity.seen().begun()
    }
}

/// A service whose exchanges are followed.
#[derive(Debug)]
pub(super) struct Exchanges<S> {
    pub(super) service: S,
    pub(super) course: Arc<Course>,
}

pin_project! {
    /// The answer to a request, on its way.
    pub(super) struct Answering<F> {
        #[pin]
        inner: F,
        has_body: bool,
        course: Arc<Course>,
        under_way: Option<UnderWay>,
    }
}

impl<S, B> Service<Request<Incoming>> for Exchanges<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = Some(self.course.activity.begin());
        let has_body = !request.body().is_end_stream();
        Answering {
            inner: self.service.call(request),
            has_body,
            course: Arc::clone(&self.course),
            under_way,
        }
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<CountedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(context))?;
        // An answer that does not wait for the body is the last one: the rest of that body can only
        // be read away (RFC 9112 9.3).
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nothing behind its request is read before somebody else does.
            let handover = Handover::take_from(response.extensions_mut());
            *this.course.lock_handover() = handover;
        } else {
            let is_last = this.course.is_retiring() || (*this.has_body && this.course.is_in_body());
            if is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            this.course.watch.answered();
        }
        let under_way = this.under_way.take();
        Poll::Ready(Ok(response.map(|body| CountedBody::new(body, under_way))))
    }
}
