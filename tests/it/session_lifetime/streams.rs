//! What is under way when a session ends: cut, in both directions, and never so that it looks whole.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use vestibule::session::{EndCause, Selection};

use super::{DAY, SECOND, cookie_of};
use crate::support::{
    PATIENCE,
    client::kept::{Feed, Kept, fed, nothing},
    eventually,
    house::{House, built},
    pki::Alpn,
    upstream::{self, Raw},
};

const STREAM_HOST: &str = "stream.example";

/// A house with an app that begins an answer and never ends it.
async fn streaming() -> (House, Raw) {
    let stream = upstream::raw()
        .answers(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
             7\r\nfirst\r\n\r\n",
        )
        .run();
    (with(&stream).await, stream)
}

/// A house with an app that listens and never answers.
async fn listening() -> (House, Raw) {
    let app = upstream::raw().run();
    (with(&app).await, app)
}

async fn with(app: &Raw) -> House {
    let route = |house: crate::support::vestibule::Builder, _: &upstream::Echo| {
        house.route("stream", STREAM_HOST, "allow = \"signed-in\"", app)
    };
    built(|idp| idp, route).await
}

/// How a session can end while something is under way.
#[derive(Clone, Copy, Debug)]
enum End {
    Clock,
    SignedOut,
    WallClock,
}

const ENDS: [End; 3] = [End::Clock, End::SignedOut, End::WallClock];

/// What is left of the session when anything begins: less than any other limit.
const LEFT: Duration = Duration::from_secs(30);

/// Who asks, on which connection.
struct Visit {
    kept: Kept,
    cookie: String,
    url: String,
}

async fn visit(house: &House, alpn: Alpn) -> Visit {
    let url = house.vestibule.url(STREAM_HOST, "/");
    let mut browser = house.browser();
    let back = house.way_back_to(&mut browser, &url).await;
    browser.view(back.as_str()).await;
    house.wait(DAY.saturating_sub(LEFT));
    let raw = house
        .vestibule
        .raw(STREAM_HOST)
        .offering(alpn, house.vestibule.pki());
    Visit {
        kept: raw.keep(alpn).await,
        cookie: cookie_of(&browser, &url),
        url,
    }
}

/// Ends all sessions; from then on each call lets another second go by.
fn end(house: &House, how: End) -> impl FnMut() {
    let time = house.vestibule.time().clone();
    match how {
        End::Clock => time.advance(LEFT),
        End::SignedOut => {
            let store = house.vestibule.sessions();
            assert_eq!(store.end(&Selection::All, EndCause::SignedOut).unwrap(), 1);
        }
        End::WallClock => time.step_wall_forward(LEFT),
    }
    move || time.advance(SECOND)
}

/// Reads on until the body ends; whether it ended as if it were whole.
async fn ended_cleanly(answer: Response<Incoming>, mut tick: impl FnMut()) -> bool {
    let mut body = answer.into_body();
    let reading = async {
        loop {
            let waiting = tokio::time::timeout(Duration::from_millis(20), body.frame());
            match waiting.await {
                Ok(None) => break true,
                Ok(Some(Err(_))) => break false,
                Ok(Some(Ok(_))) => {}
                Err(_) => tick(),
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.expect("the stream ended with its session")
}

#[tokio::test]
async fn a_running_download_breaks_off_when_its_session_ends() {
    // S-005, S-271, S-273, S-274
    for alpn in [Alpn::Http1, Alpn::H2] {
        for how in ENDS {
            let (house, _stream) = streaming().await;
            let mut visit = visit(&house, alpn).await;
            let request = Request::get(&visit.url).header("cookie", &visit.cookie);
            let mut answer = visit
                .kept
                .ask(request.body(nothing()).unwrap())
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
            let first = answer.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "first\r\n");
            let tick = end(&house, how);
            assert!(!ended_cleanly(answer, tick).await, "{alpn:?} {how:?}");
        }
    }
}

#[tokio::test]
async fn a_running_download_goes_on_as_long_as_its_session() {
    // S-271: what is quiet is not idle as long as it is not too long.
    let (house, _stream) = streaming().await;
    let mut visit = visit(&house, Alpn::Http1).await;
    let request = Request::get(&visit.url).header("cookie", &visit.cookie);
    let mut answer = visit
        .kept
        .ask(request.body(nothing()).unwrap())
        .await
        .unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    house.wait(LEFT.saturating_sub(SECOND));
    let more = answer.body_mut().frame();
    let more = tokio::time::timeout(Duration::from_millis(200), more).await;
    assert!(more.is_err(), "neither an end nor a fault: {more:?}");
}

/// Sends the head and a first piece of an upload and waits until the app has both.
async fn begin_upload(
    house: &House,
    app: &Raw,
    alpn: Alpn,
) -> (Feed, tokio::task::JoinHandle<Option<u16>>) {
    let mut visit = visit(house, alpn).await;
    let (feed, body) = fed();
    let request = Request::post(&visit.url).header("cookie", &visit.cookie);
    let request = request.body(body).unwrap();
    let asking = tokio::spawn(async move {
        let answer = visit.kept.ask(request).await.ok()?;
        Some(answer.status().as_u16())
    });
    assert!(feed.send(b"first"));
    eventually("the app has the first piece", || {
        heard(app).contains("first")
    })
    .await;
    (feed, asking)
}

fn heard(app: &Raw) -> String {
    let bytes = app.heard().concat();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_running_upload_breaks_off_when_its_session_ends() {
    // S-005, S-271, S-274: the app never takes it for a whole one.
    for alpn in [Alpn::Http1, Alpn::H2] {
        for how in ENDS {
            let (house, app) = listening().await;
            let (feed, asking) = begin_upload(&house, &app, alpn).await;
            let mut tick = end(&house, how);
            let polling = async {
                while !asking.is_finished() {
                    tick();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(PATIENCE, polling)
                .await
                .expect("the upload ended with its session");
            let status = asking.await.unwrap();
            assert!(
                matches!(status, None | Some(401)),
                "{alpn:?} {how:?}: {status:?}"
            );
            feed.send(b"second");
            let heard = heard(&app);
            assert!(!heard.contains("second"), "{heard}");
            assert!(
                !heard.ends_with("0\r\n\r\n"),
                "{alpn:?} {how:?}: it looks whole: {heard}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_that_was_sent_after_the_end_reaches_the_app() {
    // S-005: a piece that comes after the end, without anybody having waited.
    let (house, app) = listening().await;
    let (feed, asking) = begin_upload(&house, &app, Alpn::H2).await;
    house.wait(LEFT);
    for _ in 0..20 {
        feed.send(b"late");
    }
    let mut tick = end_again(&house);
    let polling = async {
        while !asking.is_finished() {
            tick();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polling)
        .await
        .expect("the upload ended");
    assert!(!heard(&app).contains("late"));
}

fn end_again(house: &House) -> impl FnMut() {
    let time = house.vestibule.time().clone();
    move || time.advance(SECOND)
}

#[tokio::test]
async fn an_answer_that_comes_after_the_end_is_not_passed_on() {
    // S-271: accepted in time, answered too late.
    for how in ENDS {
        let (house, app) = listening().await;
        let mut visit = visit(&house, Alpn::Http1).await;
        let request = Request::get(&visit.url).header("cookie", &visit.cookie);
        let request = request.body(nothing()).unwrap();
        let asking = tokio::spawn(async move {
            let answer = visit.kept.ask(request).await.ok()?;
            Some(answer.status().as_u16())
        });
        eventually("the app was asked", || heard(&app).contains("\r\n\r\n")).await;
        let mut tick = end(&house, how);
        let polling = async {
            while !asking.is_finished() {
                tick();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, polling)
            .await
            .expect("nobody waits for the app any more");
        assert_ne!(asking.await.unwrap(), Some(200), "{how:?}");
    }
}

#[tokio::test]
async fn other_sessions_go_on_when_one_ends() {
    // S-274
    let (house, _stream) = streaming().await;
    let mut ann = visit(&house, Alpn::Http1).await;
    let request = Request::get(&ann.url).header("cookie", &ann.cookie);
    let mut answer = ann
        .kept
        .ask(request.body(nothing()).unwrap())
        .await
        .unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    let mut bob = house.browser_of("bob").await;
    let people = house.vestibule.sessions().select(&Selection::All).unwrap();
    let bobs = people
        .iter()
        .find(|it| it.identity().person().to_string().contains("bob"));
    let selection = Selection::Key(bobs.unwrap().key());
    house
        .vestibule
        .sessions()
        .end(&selection, EndCause::SignedOut)
        .unwrap();
    house.wait(SECOND * 5);
    assert!(!house.is_in(&mut bob).await);
    let more = answer.body_mut().frame();
    let more = tokio::time::timeout(Duration::from_millis(100), more).await;
    assert!(more.is_err(), "{more:?}");
}
