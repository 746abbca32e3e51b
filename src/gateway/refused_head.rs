//! What is answered, logged and counted where a head is refused before it has become a request.
//!
//! Of the head that alone is repeated which was read in one way: whoever cannot be is not quoted.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_LENGTH};
use http_body_util::BodyExt;

use super::{
    body::Source,
    client_address::Client,
    context::RequestContext,
    handle::{ConnectionService, Outcome},
    page_view::Waiting,
    record::protocol,
    routes::RouteTable,
};
use crate::{
    head_guard::{HeadFault, Known, RefuseHead},
    login::Answer,
    pages::{self, Language, Notice},
    telemetry::{AccessRecord, Decision, Ended},
};

/// What stands in the log for what nobody knows.
const UNKNOWN: &str = "-";

impl RefuseHead for ConnectionService {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        self.refuse_known(fault, &Known::default())
    }

    fn refuse_known(&self, fault: HeadFault, known: &Known<'_>) -> Response<Bytes> {
        let worker = &self.worker;
        let client = Client::of_peer(self.peer.address.ip());
        let table = worker.tables().load_full();
        let context = RequestContext::new(Arc::clone(&self.peer), client, table, worker.clock());
        let (status, reason) = (fault.status(), fault.reason());
        let notice = notice(status);
        let language = known.headers.map(Language::from_accept_language);
        let response = pages::tell_as(
            status,
            &notice,
            self.wants_page(&context.table, fault, known),
            (reason, fault.detail()),
            &context.page(None, language.unwrap_or_default()),
        );
        let answer = Answer {
            response,
            decision: Decision::Refuse,
            reason,
        };
        let outcome = Outcome::own(answer, context.house());
        let response = complete(outcome.response, known.method);
        worker.metrics().refused(reason);
        self.write(&context, fault, known, response.body().len());
        response
    }
}

impl ConnectionService {
    /// Whether it is a person's browser that asks too much of a host of ours.
    fn wants_page(&self, table: &RouteTable, fault: HeadFault, known: &Known<'_>) -> bool {
        let (Some(method), Some(headers)) = (known.method, known.headers) else {
            return false;
        };
        let is_ours = |host: &str| table.first_authority_of(host).is_some();
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        fault.is_of_size()
            && self.peer.server_name.as_deref().is_some_and(is_ours)
            && Waiting::of(&method, headers).wants_page()
    }

    fn write(&self, context: &RequestContext, fault: HeadFault, known: &Known<'_>, bytes: usize) {
        let access = self.worker.access();
        if !access.is_on() {
            return;
        }
        access.write(AccessRecord {
            time: context.began.wall.to_string(),
            request_id: context.id.as_str(),
            peer: context.client.address.to_string(),
            protocol: protocol(self.peer.transport),
            method: known.method.unwrap_or(UNKNOWN),
            host: known.host.or(self.peer.server_name.as_deref()),
            path: known.path.unwrap_or(UNKNOWN),
            route: None,
            decision: Decision::Refuse.word(),
            reason: fault.reason(),
            status: fault.status().as_u16(),
            user: None,
            // It goes out in one piece, with the end of its connection or its stream.
            ended: Ended::Whole.word(),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            micros: 0,
            total_micros: 0,
        });
    }
}

/// The nearest thing there is to say to a person.
fn notice(status: StatusCode) -> Notice<'static> {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Notice::HeadersTooLarge,
        StatusCode::URI_TOO_LONG => Notice::AddressTooLong,
        _ => Notice::BadRequest,
    }
}

/// The answer in one piece, with its length.
fn complete(response: Response<Source>, method: Option<&str>) -> Response<Bytes> {
    let (mut parts, body) = response.into_parts();
    // Nothing of ours is ever waited for.
    let collected = match body {
        Source::Own(body) => body.collect().now_or_never(),
        Source::Answer(_) | Source::Switched(_) => None,
    };
    let bytes = match collected {
        Some(Ok(collected)) => collected.to_bytes(),
        Some(Err(_)) | None => Bytes::new(),
    };
    let length = HeaderValue::from(bytes.len());
    parts.headers.insert(CONTENT_LENGTH, length);
    let has_body = method != Some(Method::HEAD.as_str());
    let bytes = if has_body { bytes } else { Bytes::new() };
    Response::from_parts(parts, bytes)
}
