//! What is answered, logged and counted where a head is refused before it has become a request.
//!
//! Nothing of the head is repeated: whoever cannot be read in one way is not quoted.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Response, header::CONTENT_LENGTH};
use http_body_util::BodyExt;

use super::{
    body::Source, client_address::Client, context::RequestContext, handle::ConnectionService,
    record::protocol,
};
use crate::{
    head_guard::{HeadFault, RefuseHead},
    login::Answer,
    pages::{Problem, problem},
    telemetry::{AccessRecord, Decision, Ended},
};

/// What stands in the log for what nobody knows.
const UNKNOWN: &str = "-";

impl RefuseHead for ConnectionService {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        let worker = &self.worker;
        let client = Client::of_peer(self.peer.address.ip());
        let context = RequestContext::new(Arc::clone(&self.peer), client, worker.clock());
        let (status, reason) = (fault.status(), fault.reason());
        let response = problem(&Problem {
            status,
            title: status.canonical_reason().unwrap_or("Refused"),
            reason,
            request_id: context.id.as_str(),
            login: None,
        });
        let outcome = self.worker.own(Answer {
            response,
            decision: Decision::Refuse,
            reason,
        });
        let response = complete(outcome.response);
        worker.metrics().refused(reason);
        if worker.access().is_on() {
            worker.access().write(&AccessRecord {
                time: context.began.wall.to_string(),
                request_id: context.id.as_str(),
                peer: context.client.address.to_string(),
                protocol: protocol(self.peer.transport),
                method: UNKNOWN,
                host: self.peer.server_name.as_deref(),
                path: UNKNOWN,
                route: None,
                decision: Decision::Refuse.word(),
                reason,
                status: status.as_u16(),
                user: None,
                // It goes out in one piece, with the end of its connection or its stream.
                ended: Ended::Whole.word(),
                bytes: u64::try_from(response.body().len()).unwrap_or(u64::MAX),
                micros: 0,
                total_micros: 0,
            });
        }
        response
    }
}

/// The answer in one piece, with its length.
fn complete(response: Response<Source>) -> Response<Bytes> {
    let (mut parts, body) = response.into_parts();
    // Nothing of ours is ever waited for.
    let collected = match body {
        Source::Own(body) => body.collect().now_or_never(),
        Source::Answer(_) => None,
    };
    let bytes = match collected {
        Some(Ok(collected)) => collected.to_bytes(),
        Some(Err(_)) | None => Bytes::new(),
    };
    let length = HeaderValue::from(bytes.len());
    parts.headers.insert(CONTENT_LENGTH, length);
    Response::from_parts(parts, bytes)
}
