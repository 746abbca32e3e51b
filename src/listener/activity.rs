//! What a connection has under way: so that one that asks for nothing can be told from one that works.
//!
//! Counts requests from their head to the end of their answer's body. Decides nothing itself.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

/// The requests of one connection; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
    moved: AtomicU64,
    stuck: AtomicU64,
    /// Whoever waits for a request to begin.
    beginning: AtomicWaker,
}

/// How many requests had begun and ended at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    begun: u64,
    ended: u64,
    /// How many pieces of answers were taken.
    moved: u64,
    /// How many answers are ready, and their client takes nothing of them.
    stuck: u64,
}

impl Activity {
    /// What has happened so far.
    pub(super) fn seen(&self) -> Seen {
        // Ended first: read the other way round, a request could have ended that had not begun.
        let ended = self.0.ended.load(Ordering::Acquire);
        let begun = self.0.begun.load(Ordering::Acquire);
        Seen {
            begun,
            ended,
            moved: self.0.moved.load(Ordering::Relaxed),
            stuck: self.0.stuck.load(Ordering::Relaxed),
        }
    }

    /// Counts a request as under way until what is returned is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        self.0.beginning.wake();
        UnderWay(self.clone())
    }

    /// Ends when more requests have begun than `earlier`. One task at a time may wait.
    pub(super) async fn begins(&self, earlier: Seen) {
        poll_fn(|context| {
            self.0.beginning.register(context.waker());
            if self.seen().begun == earlier.begun {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// A piece of an answer was taken.
    pub(super) fn moves(&self) {
        self.0.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer as one of which nothing is taken until what is returned is dropped.
    pub(super) fn sticks(&self) -> Stuck {
        self.0.stuck.fetch_add(1, Ordering::Relaxed);
        Stuck(self.clone())
    }
}

impl Seen {
    /// Whether no request has begun yet.
    pub(super) fn is_untouched(self) -> bool {
        self.begun == 0
    }

    /// How many requests have begun.
    pub(super) fn begun(self) -> u64 {
        self.begun
    }

    /// Whether nothing is under way.
    pub(super) fn is_at_rest(self) -> bool {
        self.begun == self.ended
    }

    /// Whether nothing is under way and nothing has begun since `earlier`.
    pub(super) fn is_idle_since(self, earlier: Self) -> bool {
        self.is_at_rest() && self.begun == earlier.begun
    }

    /// Whether all that is under way waits for its client, and nothing has moved since `earlier`:
    /// such a connection is of no use to anybody, its client included.
    pub(super) fn is_useless_since(self, earlier: Self) -> bool {
        let is_in_use = self.stuck == 0 && self.begun != earlier.begun;
        self.waits_for_its_client() && !is_in_use && self.moved == earlier.moved
    }

    /// Whether there are answers of which nothing is taken.
    pub(super) fn has_stuck(self) -> bool {
        self.stuck > 0
    }

    /// Whether nothing is under way but answers of which nothing is taken.
    pub(super) fn waits_for_its_client(self) -> bool {
        self.begun - self.ended <= self.stuck
    }
}

/// An answer that counts as one of which nothing is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Stuck(Activity);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.0.stuck.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that counts as under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// A service whose requests are counted.
pub(super) struct Counted<S> {
    pub(super) service: S,
    pub(super) activity: Activity,
}

/// A body whose request counts as under way until it is dropped.
pub(super) struct CountedBody<B> {
    body: B,
    _under_way: Option<UnderWay>,
}

impl<B> CountedBody<B> {
    pub(super) fn new(body: B, under_way: Option<UnderWay>) -> Self {
        Self {
            body,
            _under_way: under_way,
        }
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.activity.begin();
        let answering = self.service.call(request);
        Box::pin(async move {
            let response = answering.await?;
            Ok(response.map(|body| CountedBody::new(body, Some(under_way))))
        })
    }
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_all_that_began_has_ended_and_nothing_began_since() {
        let activity = Activity::default();
        let first = activity.seen();
        assert!(first.is_untouched() && first.is_idle_since(first));
        let under_way = activity.begin();
        assert!(!activity.seen().is_idle_since(activity.seen()));
        drop(under_way);
        let after = activity.seen();
        assert!(!after.is_idle_since(first), "one came and went in between");
        assert!(after.is_idle_since(after) && !after.is_untouched());
    }
}
