//! What is under way is judged by the rules in force: what may not begin now does not go on.

use std::{fs, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{FOR_ALL, comes_to, house, route_file};
use crate::support::{
    PATIENCE,
    client::kept::{Kept, fed, nothing},
    eventually,
    house::{House, SESSION},
    pki::Alpn,
    upstream::{self, Raw},
    vestibule::Builder,
};

const STREAM_HOST: &str = "stream.example";
const PUBLIC: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/open\"";
const ONLY_BOB: &str = "[allow]\nusers = [\"bob@corp.example\"]";

/// A house with an app that begins an answer and never ends it.
async fn streaming() -> (House, Raw) {
    let app = upstream::raw()
        .answers(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
             7\r\nfirst\r\n\r\n",
        )
        .run();
    let more = |builder: Builder, _: &_| builder.route("stream", STREAM_HOST, PUBLIC, &app);
    (house(more).await, app)
}

/// A stream of somebody (or nobody) at a path, begun.
async fn begun(
    house: &House,
    alpn: Alpn,
    person: Option<&str>,
    path: &str,
) -> (Kept, Response<Incoming>) {
    let url = house.vestibule.url(STREAM_HOST, path);
    let mut request = Request::get(&url);
    if let Some(person) = person {
        let login = house
            .vestibule
            .url(STREAM_HOST, "/.vestibule/login?return=/.vestibule/me");
        let mut browser = house.browser();
        house.idp.signs_in(crate::support::issuer::person(person));
        browser.follow(&login, 4).await;
        let cookie = browser.cookie(&url, SESSION).unwrap();
        request = request.header("cookie", format!("{SESSION}={cookie}"));
    }
    let raw = house
        .vestibule
        .raw(STREAM_HOST)
        .offering(alpn, house.vestibule.pki());
    let mut kept = raw.keep(alpn).await;
    let mut answer = kept.ask(request.body(nothing()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let first = answer.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first\r\n");
    (kept, answer)
}

/// Gives the route of the stream other rules.
async fn rules(house: &House, app: &Raw, rules: &str) {
    let from = house.vestibule.url(STREAM_HOST, "");
    let text = format!(
        "from = \"{from}\"\nto = \"http://{}\"\n{rules}\n",
        app.address()
    );
    let file = route_file(&house.vestibule, "stream");
    comes_to(&house.vestibule, "applied", || {
        fs::write(file, text).unwrap();
    })
    .await;
}

/// Lets seconds go by until the stream ends; it must not look whole.
async fn ends(house: &House, answer: &mut Response<Incoming>) {
    let reading = async {
        loop {
            match tokio::time::timeout(Duration::from_millis(20), answer.body_mut().frame()).await {
                Ok(None) => break true,
                Ok(Some(Err(_))) => break false,
                Ok(Some(Ok(_))) => {}
                Err(_) => house.wait(Duration::from_secs(1)),
            }
        }
    };
    let clean = tokio::time::timeout(PATIENCE, reading).await;
    assert!(
        !clean.expect("the stream ended with its rule"),
        "it looks whole"
    );
}

async fn goes_on(house: &House, answer: &mut Response<Incoming>) {
    for _ in 0..5 {
        house.wait(Duration::from_secs(1));
        let more = tokio::time::timeout(Duration::from_millis(20), answer.body_mut().frame()).await;
        assert!(more.is_err(), "neither an end nor a fault: {more:?}");
    }
}

#[tokio::test]
async fn the_stream_of_a_person_who_is_no_longer_allowed_ends_and_no_other() {
    // S-005, S-271
    for alpn in [Alpn::Http1, Alpn::H2] {
        let (house, app) = streaming().await;
        let (_ann, mut anns) = begun(&house, alpn, Some("ann"), "/").await;
        let (_bob, mut bobs) = begun(&house, alpn, Some("bob"), "/").await;
        rules(
            &house,
            &app,
            "allow = \"signed-in\"\n[deny]\nusers = [\"carla@corp.example\"]",
        )
        .await;
        goes_on(&house, &mut anns).await;
        rules(&house, &app, ONLY_BOB).await;
        ends(&house, &mut anns).await;
        let sample = "vestibule_answers_cut_total{route=\"stream\",reason=\"no_longer_allowed\"} 1";
        eventually("it is said why", || {
            house.vestibule.metrics().contains(sample)
        })
        .await;
        goes_on(&house, &mut bobs).await;
        // Allowed again is not begun again.
        rules(&house, &app, FOR_ALL).await;
        goes_on(&house, &mut bobs).await;
    }
}

#[tokio::test]
async fn streams_of_a_route_that_is_gone_end() {
    // S-005
    let (house, _app) = streaming().await;
    let (_ann, mut anns) = begun(&house, Alpn::H2, Some("ann"), "/").await;
    let (_nobody, mut open) = begun(&house, Alpn::Http1, None, "/open").await;
    let file = route_file(&house.vestibule, "stream");
    comes_to(&house.vestibule, "applied", || {
        fs::remove_file(file).unwrap();
    })
    .await;
    ends(&house, &mut anns).await;
    ends(&house, &mut open).await;
}

#[tokio::test]
async fn a_stream_that_a_public_rule_let_in_ends_with_the_rule() {
    let (house, app) = streaming().await;
    let (_nobody, mut open) = begun(&house, Alpn::H2, None, "/open").await;
    rules(&house, &app, &format!("{PUBLIC}\nmethods = [\"GET\"]")).await;
    goes_on(&house, &mut open).await;
    rules(&house, &app, FOR_ALL).await;
    ends(&house, &mut open).await;
}

#[tokio::test]
async fn an_upload_and_its_wait_for_an_answer_end_with_the_rule() {
    // S-005, S-271
    for alpn in [Alpn::Http1, Alpn::H2] {
        let app = upstream::raw().run();
        let more = |builder: Builder, _: &_| builder.route("stream", STREAM_HOST, FOR_ALL, &app);
        let house = house(more).await;
        let url = house.vestibule.url(STREAM_HOST, "/");
        let mut browser = house.browser();
        let back = house.way_back_to(&mut browser, &url).await;
        browser.view(back.as_str()).await;
        let cookie = browser.cookie(&url, SESSION).unwrap();
        let (feed, body) = fed();
        let request = Request::post(&url).header("cookie", format!("{SESSION}={cookie}"));
        let request = request.body(body).unwrap();
        let raw = house
            .vestibule
            .raw(STREAM_HOST)
            .offering(alpn, house.vestibule.pki());
        let mut kept = raw.keep(alpn).await;
        let asking =
            tokio::spawn(async move { Some(kept.ask(request).await.ok()?.status().as_u16()) });
        assert!(feed.send(b"first"));
        let heard = || String::from_utf8(app.heard().concat()).unwrap();
        eventually("the app has the first piece", || heard().contains("first")).await;
        rules(&house, &app, ONLY_BOB).await;
        eventually("the upload ended with its rule", || {
            house.wait(Duration::from_secs(1));
            asking.is_finished()
        })
        .await;
        assert!(
            matches!(asking.await.unwrap(), None | Some(403)),
            "{alpn:?}"
        );
        feed.send(b"second");
        assert!(
            !heard().contains("second") && !heard().ends_with("0\r\n\r\n"),
            "{}",
            heard()
        );
    }
}
