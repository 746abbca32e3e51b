//! The last step of a request: on its way to the app, for as long as it would be let in anew.
//!
//! Nothing else in the gateway sends anything to an app.

use std::{num::NonZeroU32, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;

use super::{
    body::Source,
    context::RequestContext,
    error::GatewayError,
    handle::Worker,
    lease::{Grant, Sender},
    routes::{RouteEntry, RouteTable},
    websocket,
};
use crate::upstream::{
    BodyLimits, BytesPerSecond, Caller, Forwarding, Lease, RenderedIdentity, UpstreamError,
    answer_headers::AnswerFacts, forward, headers::RequestFacts,
};

/// How slowly somebody who is not signed in may send a body. Whoever is signed in may be as slow as
/// they like: a quiet stream can be what an app is for.
const SLOWEST_STRANGER: BytesPerSecond = BytesPerSecond(NonZeroU32::new(500).unwrap());

impl Worker {
    /// Passes a request on: of `sender`, whom the app is told of, or of anybody where a rule says so.
    pub(super) async fn pass_on(
        &self,
        context: &RequestContext,
        table: &RouteTable,
        entry: &Arc<RouteEntry>,
        sender: Option<(&RenderedIdentity, Sender)>,
        request: Request<Incoming>,
    ) -> Result<Response<Source>, GatewayError> {
        let handshake = websocket::asked(&request, entry)?;
        let (clock, limits) = (self.clock(), &context.house().limits);
        let (identity, sender) = match sender {
            Some((identity, sender)) => (Some(identity), sender),
            None => (None, Sender::Anybody),
        };
        let grant = Grant::new(&request, sender, entry, table, self.tables(), clock);
        let facts = RequestFacts {
            forwarded_for: &context.client.forwarded_for,
            request_id: &context.id.header_value(),
            identity,
        };
        let (caller, bytes, slowest) = match identity {
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
            lease: Some(Arc::clone(&grant) as Arc<dyn Lease>),
            body: BodyLimits {
                idle: limits.body_idle,
                bytes,
                slowest,
            },
            answer: AnswerFacts {
                session_decided: identity.is_some(),
                hsts: context.house().hsts.as_ref(),
            },
            reached: &context.reached,
        };
        if let Some(handshake) = handshake {
            // On the heap, so that no other request has room for it.
            let opening = Box::pin(handshake.pass_on(request, forwarding));
            return tokio::select! {
                biased;
                answer = opening => Ok(answer?),
                () = grant.over() => Err(UpstreamError::of_end(grant.end()).into()),
            };
        }
        tokio::select! {
            biased;
            answer = forward(request, forwarding) => Ok(answer?.map(Source::Answer)),
            () = grant.over() => Err(UpstreamError::of_end(grant.end()).into()),
        }
    }
}
