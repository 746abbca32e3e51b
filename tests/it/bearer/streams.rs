//! What is under way when a token ends: cut, never so that it looks whole.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;

use super::{BEARER, for_itself, taking};
use crate::support::{
    PATIENCE,
    clock::START,
    eventually,
    front::{Front, HOST},
    pki::Alpn,
    upstream,
    wire::{Protocol, ask},
};

const PROTOCOLS: [Alpn; 2] = [Alpn::Http1, Alpn::H2];

fn request(front: &Front, token: &str) -> Request<crate::support::client::kept::Sent> {
    let body = Full::default().map_err(|never| match never {}).boxed();
    Request::get(front.vestibule.url(HOST, "/"))
        .header("authorization", format!("Bearer {token}"))
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn a_running_download_breaks_off_when_its_token_ends() {
    // S-005, S-271
    let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for alpn in PROTOCOLS {
        for wall_alone in [false, true] {
            let app = upstream::raw().answers(begun).run();
            let rules = format!("allow = \"signed-in\"\n{BEARER}");
            let front = taking(&app, &rules).await;
            let claims = for_itself(&front, &json!({"exp": START + 20}));
            let token = front.idp.access_token(&claims);
            let raw = front.vestibule.raw(HOST);
            let mut kept = raw.offering(alpn, front.vestibule.pki()).keep(alpn).await;
            let answer = kept.ask(request(&front, &token)).await.unwrap();
            assert_eq!(answer.status(), 200);
            let mut body = answer.into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(&first.into_data().unwrap()[..], b"half");
            let time = front.vestibule.time();
            // A minute of skew is part of it.
            time.advance(Duration::from_secs(79));
            let quiet = tokio::time::timeout(Duration::from_millis(50), body.frame()).await;
            assert!(quiet.is_err(), "it goes on until the end");
            if wall_alone {
                time.step_wall_forward(Duration::from_secs(1));
            } else {
                time.advance(Duration::from_secs(1));
            }
            // Never for so long that something else could have ended it.
            let mut ticks = 0..10;
            let reading = async {
                loop {
                    let waiting = tokio::time::timeout(Duration::from_millis(20), body.frame());
                    match waiting.await {
                        Ok(None) => break true,
                        Ok(Some(Err(_))) => break false,
                        Err(_) if ticks.next().is_some() => time.advance(Duration::from_secs(1)),
                        Ok(Some(Ok(_))) | Err(_) => {}
                    }
                }
            };
            let cleanly = tokio::time::timeout(PATIENCE, reading).await;
            assert!(!cleanly.expect("an end"), "{alpn:?} {wall_alone}");
        }
    }
}

#[tokio::test]
async fn a_request_that_waits_for_the_app_ends_with_its_token() {
    // S-005
    let app = upstream::raw().run();
    let rules = format!("allow = \"signed-in\"\n{BEARER}");
    let front = taking(&app, &rules).await;
    let claims = for_itself(&front, &json!({"exp": START - 30}));
    let token = front.idp.access_token(&claims);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let heard = app.heard().len();
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("GET", "/").with("Authorization", &format!("Bearer {token}"));
        let asking = wire.ask(&asked);
        let ending = async {
            eventually("the app was asked", || app.heard().len() > heard).await;
            front.vestibule.time().advance(Duration::from_secs(30));
        };
        let (reply, ()) = tokio::join!(asking, ending);
        assert_eq!((reply.status, &*reply.reason()), (401, "expired_token"));
        front
            .vestibule
            .time()
            .step_wall_back(Duration::from_secs(30));
    }
}
