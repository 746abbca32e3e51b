//! What the guard lets through is to hyper what it is to the second parser: the same requests, with
//! the same bodies, and none besides.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::{
    near_valid,
    second_parser::{self, Message},
    support::{LIMITS, requests_in, shown},
};

/// A request as hyper hands it on; without a body if that broke off.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Heard {
    method: String,
    target: Uri,
    body: Option<Vec<u8>>,
}

/// What hyper's server reads from these bytes and the connection's end.
async fn heard_by_hyper(bytes: Vec<u8>) -> Vec<Heard> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (mut client, server) = tokio::io::duplex(1024 * 1024);
    client.write_all(&bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let service = service_fn(|request: Request<Incoming>| {
        let heard = Arc::clone(&heard);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes().to_vec());
            heard.lock().unwrap().push(Heard {
                method: parts.method.to_string(),
                target: parts.uri,
                body: body.ok(),
            });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    // How the connection ends is its own affair: what has been heard counts.
    let _ = http1::Builder::new()
        .half_close(true)
        .max_headers(LIMITS.headers)
        .max_header_size(LIMITS.head_bytes + 2)
        .serve_connection(TokioIo::new(server), service)
        .await;
    heard.lock().unwrap().clone()
}

/// The request as hyper should have it; none if its target is one that no `Uri` has.
fn as_heard(message: &Message) -> Option<Heard> {
    let target: Uri = message.first_line[1].parse().ok()?;
    if let Some(path) = target.path_and_query().filter(|_| target.host().is_none()) {
        assert_eq!(
            path.as_str(),
            message.first_line[1],
            "nothing is cut from it"
        );
    }
    Some(Heard {
        method: message.first_line[0].clone(),
        target,
        body: Some(message.body.clone()),
    })
}

/// Whether hyper closes or hands over the connection behind it.
fn is_last(message: &Message) -> bool {
    message.first_line[2] == "HTTP/1.0" || message.first_line[0] == "CONNECT"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    // S-003
    #[test]
    fn hyper_reads_what_the_second_parser_reads(text in near_valid::requests()) {
        let passed = requests_in(vec![text.clone()], LIMITS).passed;
        let reading = second_parser::requests(&text, LIMITS);
        let mut expected = Vec::new();
        let mut goes_on = true;
        for message in &reading.messages {
            let heard = as_heard(message);
            goes_on = heard.is_some() && !is_last(message);
            expected.extend(heard);
            if !goes_on {
                break;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut heard = runtime.block_on(heard_by_hyper(passed));
        let breaks_off = reading.heads > reading.messages.len() as u64;
        if goes_on && breaks_off && heard.len() > expected.len() {
            // A body that is refused or unfinished has a head, and no end.
            prop_assert_eq!(heard.pop().map(|last| last.body), Some(None), "{}", shown(&text));
        }
        prop_assert_eq!(heard, expected, "{}", shown(&text));
    }
}
