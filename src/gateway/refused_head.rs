//! What is answered, logged and counted where a head is refused before it has become a request.
//!
//! Nothing of the head is repeated: whoever cannot be read in one way is not quoted.

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Response, header::CONTENT_LENGTH};
use http_body_util::BodyExt;

use super::{
    body::GatewayBody,
    client_address::Client,
    context::RequestContext,
    handle::{ConnectionService, Outcome},
};
use crate::{
    head_guard::{HeadFault, RefuseHead},
    login::Answer,
    pages::{Problem, problem},
    peer::Transport,
    telemetry::{AccessRecord, Decision},
};

/// What stands in the log for what nobody knows.
const UNKNOWN: &str = "-";

impl RefuseHead for ConnectionService {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        let worker = &self.worker;
        let client = Client::of_peer(self.peer.address.ip());
        let table = worker.tables().load();
        let context = RequestContext::new(&self.peer, client, &table.house, worker.clock());
        let (status, reason) = (fault.status(), fault.reason());
        worker.metrics().refused(reason);
        if worker.access().is_on() {
            worker.access().write(&AccessRecord {
                time: context.began.wall.to_string(),
                request_id: context.id.as_str(),
                peer: context.client.address.to_string(),
                protocol: match self.peer.transport {
                    Transport::Http1 | Transport::Plain => "h1",
                    Transport::Http2 => "h2",
                },
                method: UNKNOWN,
                host: self.peer.server_name.as_deref(),
                path: UNKNOWN,
                route: None,
                decision: Decision::Refuse.word(),
                reason,
                status: status.as_u16(),
                user: None,
                micros: 0,
            });
        }
        let response = problem(&Problem {
            status,
            title: status.canonical_reason().unwrap_or("Refused"),
            reason,
            request_id: context.id.as_str(),
            login: None,
        });
        let answer = Answer {
            response,
            decision: Decision::Refuse,
            reason,
        };
        let outcome = Outcome::own(answer, context.house);
        complete(outcome.response)
    }
}

/// The answer in one piece, with its length.
fn complete(response: Response<GatewayBody>) -> Response<Bytes> {
    let (mut parts, body) = response.into_parts();
    // Nothing of ours is ever waited for.
    let collected = body.collect().now_or_never();
    let bytes = match collected {
        Some(Ok(collected)) => collected.to_bytes(),
        Some(Err(_)) | None => Bytes::new(),
    };
    let length = HeaderValue::from(bytes.len());
    parts.headers.insert(CONTENT_LENGTH, length);
    Response::from_parts(parts, bytes)
}
