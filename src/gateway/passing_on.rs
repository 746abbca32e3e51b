//! The last step of a request: on its way to the app, for as long as its session or token lasts.
//!
//! Nothing else in the gateway sends anything to an app.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;

use super::{
    context::RequestContext,
    error::GatewayError,
    handle::Worker,
    routes::{RouteEntry, RouteTable},
};
use crate::{
    clock::Clock,
    upstream::{
        AnswerBody, BodyLimits, Forwarding, Lease, RenderedIdentity, UpstreamError,
        answer_headers::AnswerFacts, forward, headers::RequestFacts,
    },
};

/// Whom a request is from, and for how long.
pub(super) struct Sender<'a> {
    /// What the app is told.
    pub(super) identity: &'a RenderedIdentity,
    /// How long both bodies may stream, and the answer be waited for.
    pub(super) lease: Arc<dyn Lease>,
}

impl Worker {
    /// Passes a request on: of `sender`, or of anybody where a rule says so.
    pub(super) async fn pass_on(
        &self,
        context: &RequestContext<'_>,
        table: &RouteTable,
        entry: &RouteEntry,
        sender: Option<Sender<'_>>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let (clock, limits) = (self.clock(), self.limits());
        let facts = RequestFacts {
            forwarded_for: &context.client.forwarded_for,
            request_id: &context.id.header_value(),
            identity: sender.as_ref().map(|sender| sender.identity),
        };
        let bytes = match sender {
            Some(_) => limits.body_bytes,
            None => limits.public_body_bytes,
        };
        let forwarding = Forwarding {
            client: self.upstream(),
            target: &entry.target,
            removal: &table.removal,
            facts,
            lease: sender.as_ref().map(|sender| Arc::clone(&sender.lease)),
            body: BodyLimits {
                idle: limits.body_idle,
                bytes,
            },
            answer: AnswerFacts {
                session_decided: sender.is_some(),
                hsts: self.hsts(),
            },
        };
        let Some(Sender { lease, .. }) = sender else {
            return Ok(forward(request, forwarding).await?);
        };
        tokio::select! {
            biased;
            answer = forward(request, forwarding) => Ok(answer?),
            () = over(&*lease, clock) => Err(UpstreamError::LeaseOver.into()),
        }
    }
}

/// Ends with the lease, within a second: also when a clock steps or somebody ends a session.
async fn over(lease: &dyn Lease, clock: &Clock) {
    while lease.is_live() {
        let remaining = lease.remaining();
        clock.sleep(remaining.min(Duration::from_secs(1))).await;
    }
}
