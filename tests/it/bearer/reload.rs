//! Rules for tokens that change while programs are in: what may not begin now does not go on.

use std::{fs, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::json;

use super::{BEARER, CLIENT, bearing, for_bob, for_itself, taking};
use crate::support::{
    PATIENCE,
    client::kept::Kept,
    clock, eventually,
    front::{Front, HOST},
    issuer,
    pki::Alpn,
    upstream::{self, Raw},
    vestibule,
    wire::{PROTOCOLS, ask},
};

const BEGUN: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";

/// A front that follows its files, before an app that begins an answer and never ends it.
async fn streaming() -> (Front, Raw) {
    let app = upstream::raw().answers(BEGUN).run();
    let mut front = taking(&app, &format!("allow = \"signed-in\"\n{BEARER}")).await;
    front.vestibule.follow();
    eventually("the files were read", || reloads(&front, "unchanged") == 1).await;
    (front, app)
}

fn reloads(front: &Front, outcome: &str) -> u64 {
    front.metric(&format!("vestibule_reloads_total{{outcome=\"{outcome}\"}}"))
}

/// Gives the route these rules, and waits until they are in force.
async fn rules(front: &Front, app: &Raw, rules: &str) {
    let from = front.vestibule.url(HOST, "");
    let to = app.address();
    let text = format!("from = \"{from}\"\nto = \"http://{to}\"\n{rules}\n");
    let before = reloads(front, "applied");
    let file = front.vestibule.folder().join("config/routes.d/wiki.toml");
    fs::write(file, text).unwrap();
    eventually("the rules are in force", || {
        reloads(front, "applied") > before
    })
    .await;
}

/// A download for a token, begun.
async fn begun(front: &Front, alpn: Alpn, token: &str) -> (Kept, Response<Incoming>) {
    let body = Full::default().map_err(|never| match never {}).boxed();
    let request = Request::get(front.vestibule.url(HOST, "/"))
        .header("authorization", format!("Bearer {token}"))
        .body(body)
        .unwrap();
    let raw = front.vestibule.raw(HOST);
    let mut kept = raw.offering(alpn, front.vestibule.pki()).keep(alpn).await;
    let mut answer = kept.ask(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let first = answer.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(&first.into_data().unwrap()[..], b"half");
    (kept, answer)
}

/// Lets a few seconds go by, in which nothing else could end it; it must not look whole.
async fn ends(front: &Front, answer: &mut Response<Incoming>) {
    let mut ticks = 0..3;
    let reading = async {
        loop {
            let waiting =
                tokio::time::timeout(Duration::from_millis(20), answer.body_mut().frame());
            match waiting.await {
                Ok(None) => break true,
                Ok(Some(Err(_))) => break false,
                Err(_) if ticks.next().is_some() => {
                    front.vestibule.time().advance(Duration::from_secs(1));
                }
                Ok(Some(Ok(_))) | Err(_) => {}
            }
        }
    };
    let cleanly = tokio::time::timeout(PATIENCE, reading).await;
    assert!(!cleanly.expect("it ended with its rule"), "it looks whole");
}

async fn goes_on(front: &Front, answer: &mut Response<Incoming>) {
    for _ in 0..3 {
        front.vestibule.time().advance(Duration::from_secs(1));
        let more = tokio::time::timeout(Duration::from_millis(20), answer.body_mut().frame()).await;
        assert!(more.is_err(), "neither an end nor a fault: {more:?}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_rules_that_let_its_token_in() {
    // S-005, S-046, S-271
    let all = "allow = \"signed-in\"";
    for (new, status, reason) in [
        (all.to_owned(), 401, "no_session"),
        (
            format!("{all}\n{}", BEARER.replace("Sync", "Other")),
            403,
            "insufficient_scope",
        ),
        (
            format!("{all}\n{}", BEARER.replace("api://wiki", "api://other")),
            401,
            "wrong_audience",
        ),
        (
            format!("{all}\n{BEARER}\nclients = [\"other\"]"),
            401,
            "client_not_allowed",
        ),
        (
            format!("{all}\n{BEARER}\nissuers = [\"http://127.0.0.1:9\"]"),
            401,
            "wrong_issuer",
        ),
        (
            format!("{all}\n[deny]\nusers = [\"app:{CLIENT}\"]\n{BEARER}"),
            403,
            "denied",
        ),
    ] {
        let (front, app) = streaming().await;
        let token = front.idp.access_token(&for_itself(&front, &json!({})));
        let (_one, mut over_http1) = begun(&front, Alpn::Http1, &token).await;
        let (_other, mut over_http2) = begun(&front, Alpn::H2, &token).await;
        rules(&front, &app, &new).await;
        ends(&front, &mut over_http1).await;
        ends(&front, &mut over_http2).await;
        let heard = app.heard().len();
        for protocol in PROTOCOLS {
            let reply = front.wire(protocol, HOST).ask(&bearing(&token, "/")).await;
            assert_eq!(reply.status, status, "{new}");
            if reason != "no_session" {
                assert_eq!(reply.reason(), reason, "{new}");
            }
        }
        assert_eq!(app.heard().len(), heard, "{new}");
    }
}

#[tokio::test]
async fn a_stream_goes_on_under_rules_that_let_its_token_in_as_well() {
    // S-005
    let (front, app) = streaming().await;
    let of_app = front.idp.access_token(&for_itself(&front, &json!({})));
    let of_bob = front.idp.access_token(&for_bob(&front, &json!({})));
    let (_app, mut apps) = begun(&front, Alpn::H2, &of_app).await;
    let (_bob, mut bobs) = begun(&front, Alpn::Http1, &of_bob).await;
    let issuer = front.idp.issuer();
    let wider = "[bearer]\naudiences = [\"api://new\", \"api://wiki\"]\nroles = [\"New\", \"Sync\"]\n\
                 scopes = [\"new\", \"read\"]";
    let wider = format!("{wider}\nclients = [\"{CLIENT}\"]\nissuers = [\"{issuer}\"]");
    rules(&front, &app, &format!("allow = \"signed-in\"\n{wider}")).await;
    goes_on(&front, &mut apps).await;
    goes_on(&front, &mut bobs).await;
    // Whom the rules for people keep out is kept out behind an app too; the app is none of them.
    let only_ann = "[allow]\nusers = [\"ann@corp.example\"]";
    rules(&front, &app, &format!("{only_ann}\n{BEARER}")).await;
    ends(&front, &mut bobs).await;
    goes_on(&front, &mut apps).await;
}

#[tokio::test]
async fn a_request_that_waits_for_the_app_is_told_when_its_rules_are_gone() {
    // S-005
    let silent = upstream::raw().run();
    let mut front = taking(&silent, &format!("allow = \"signed-in\"\n{BEARER}")).await;
    front.vestibule.follow();
    eventually("the files were read", || reloads(&front, "unchanged") == 1).await;
    let token = front.idp.access_token(&for_itself(&front, &json!({})));
    for (protocol, role) in PROTOCOLS.into_iter().zip(["Other", "Another"]) {
        rules(
            &front,
            &silent,
            &format!("title = \"{role}\"\nallow = \"signed-in\"\n{BEARER}"),
        )
        .await;
        let heard = silent.heard().len();
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("GET", "/").with("Authorization", &format!("Bearer {token}"));
        let asking = wire.ask(&asked);
        let changing = async {
            eventually("the app was asked", || silent.heard().len() > heard).await;
            let gone = format!("allow = \"signed-in\"\n{}", BEARER.replace("Sync", role));
            rules(&front, &silent, &gone).await;
            front.vestibule.time().advance(Duration::from_secs(1));
        };
        let (reply, ()) = tokio::join!(asking, changing);
        assert_eq!((reply.status, &*reply.reason()), (403, "no_longer_allowed"));
    }
}

#[tokio::test]
async fn an_issuer_of_tokens_alone_is_asked_nothing_once_no_rule_names_it() {
    let time = clock::manual();
    let builder = issuer::honest(&time).run();
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::raw().run();
    let named = builder.issuer();
    let named = format!("allow = \"signed-in\"\n{BEARER}\nissuers = [\"{named}\"]");
    let files = vestibule::at(&time).route("wiki", HOST, &named, &app);
    let vestibule = files.entra(&idp).main("[log]\naccess = \"off\"").run();
    let mut front = Front { idp, vestibule };
    front.vestibule.follow();
    eventually("the files were read", || reloads(&front, "unchanged") == 1).await;
    eventually("both are known", || {
        front.idp.discovery_fetches() > 0 && builder.discovery_fetches() > 0
    })
    .await;
    rules(&front, &app, "allow = \"signed-in\"").await;
    let (own_before, before) = (front.idp.discovery_fetches(), builder.discovery_fetches());
    // Hours later the provider was asked again, more than once.
    let asked_twice = async {
        while front.idp.discovery_fetches() < own_before + 2 {
            time.advance(Duration::from_mins(10));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked_twice).await.unwrap();
    assert_eq!(builder.discovery_fetches(), before);
    rules(&front, &app, &named).await;
    eventually("it is asked again", || builder.discovery_fetches() > before).await;
}
