//! The last step of a request: on its way to the app, for as long as its session lasts.
//!
//! Nothing else in the gateway sends anything to an app.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;

use super::{
    context::RequestContext,
    error::GatewayError,
    handle::Worker,
    lease::SessionLease,
    routes::{RouteEntry, RouteTable},
};
use crate::{
    clock::Clock,
    session::Session,
    upstream::{
        AnswerBody, BodyLimits, BytesPerSecond, Caller, Forwarding, RenderedIdentity,
        UpstreamError, answer_headers::AnswerFacts, forward, headers::RequestFacts,
    },
};

/// How slowly somebody who is not signed in may send a body. Whoever is signed in may be as slow as
/// they like: a quiet stream can be what an app is for.
const SLOWEST_STRANGER: BytesPerSecond = BytesPerSecond(NonZeroU32::new(500).unwrap());

impl Worker {
    /// Passes a request on: of `person`, or of anybody where a rule says so.
    pub(super) async fn pass_on(
        &self,
        context: &RequestContext<'_>,
        table: &RouteTable,
        entry: &RouteEntry,
        person: Option<(&RenderedIdentity, &Arc<Session>)>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let (clock, limits) = (self.clock(), self.limits());
        let facts = RequestFacts {
            forwarded_for: &context.client.forwarded_for,
            request_id: &context.id.header_value(),
            identity: person.map(|(identity, _)| identity),
        };
        let (caller, bytes, slowest) = match person {
            Some(_) => (Caller::Person, limits.body_bytes, None),
            None => (
                Caller::Stranger,
                limits.public_body_bytes,
                Some(SLOWEST_STRANGER),
            ),
        };
        let forwarding = Forwarding {
            client: self.upstream(),
            caller,
            target: &entry.target,
            removal: &table.removal,
            facts,
            lease: person.map(|(_, session)| SessionLease::of(Arc::clone(session), clock.clone())),
            body: BodyLimits {
                idle: limits.body_idle,
                bytes,
                slowest,
            },
            answer: AnswerFacts {
                session_decided: person.is_some(),
                hsts: self.hsts(),
            },
        };
        let Some((_, session)) = person else {
            return Ok(forward(request, forwarding).await?);
        };
        tokio::select! {
            biased;
            answer = forward(request, forwarding) => Ok(answer?),
            () = over(session, clock) => Err(UpstreamError::LeaseOver.into()),
        }
    }
}

/// Ends with the session, within a second: also when a clock steps or somebody ends it.
async fn over(session: &Session, clock: &Clock) {
    loop {
        let now = clock.now();
        if !session.is_live(now) {
            return;
        }
        let remaining = session.deadline().remaining(now);
        clock.sleep(remaining.min(Duration::from_secs(1))).await;
    }
}
