//! The last step of a request: on its way to the app, for as long as it would be let in anew.
//!
//! Nothing else in the gateway sends anything to an app.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::{
    context::RequestContext,
    error::GatewayError,
    handle::Worker,
    lease::{Grant, Sender},
    routes::{RouteEntry, RouteTable},
};
use crate::upstream::{
    AnswerBody, BodyLimits, Forwarding, Lease, RenderedIdentity, UpstreamError,
    answer_headers::AnswerFacts, forward, headers::RequestFacts,
};

impl Worker {
    /// Passes a request on: of `sender`, whom the app is told of, or of anybody where a rule says so.
    pub(super) async fn pass_on(
        &self,
        context: &RequestContext,
        table: &RouteTable,
        entry: &Arc<RouteEntry>,
        sender: Option<(&RenderedIdentity, Sender)>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, GatewayError> {
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
        let bytes = match identity {
            Some(_) => limits.body_bytes,
            None => limits.public_body_bytes,
        };
        let forwarding = Forwarding {
            client: self.upstream(),
            target: &entry.target,
            removal: &table.removal,
            facts,
            lease: Some(Arc::clone(&grant) as Arc<dyn Lease>),
            body: BodyLimits {
                idle: limits.body_idle,
                bytes,
            },
            answer: AnswerFacts {
                session_decided: identity.is_some(),
                hsts: context.house().hsts.as_ref(),
            },
        };
        tokio::select! {
            biased;
            answer = forward(request, forwarding) => Ok(answer?),
            () = grant.over() => Err(UpstreamError::LeaseOver.into()),
        }
    }
}
