//! What is sent a second time, and what never is.

use super::*;
use crate::support::{
    front::wiki,
    upstream::{self, Afterwards, Raw},
    wire::{Ask, PROTOCOLS, Protocol, ask},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// An app that takes a request and closes without a word, or with some.
fn closing(answer: &str) -> Raw {
    let app = upstream::raw().answers(answer.to_owned());
    app.then(Afterwards::Close).run()
}

fn times(heard: &[Vec<u8>], line: &str) -> usize {
    let heard = String::from_utf8(heard.concat()).unwrap();
    heard.matches(line).count()
}

#[tokio::test]
async fn only_what_changes_nothing_is_sent_again_if_its_connection_broke() {
    // S-098
    let plain = |method: &str| ask(method, "/x");
    for (asked, is_repeated) in [
        (plain("GET"), true),
        (plain("HEAD"), true),
        (plain("OPTIONS"), true),
        (plain("GET").body("content"), false),
        (plain("POST"), false),
        (plain("POST").body("amount=1"), false),
        (plain("PUT"), false),
        (plain("PUT").body("new"), false),
        (plain("DELETE"), false),
        (plain("PATCH").body("new"), false),
        (plain("PROPFIND"), false),
        (plain("GET").with("Authorization", "Negotiate YII="), false),
    ] {
        for protocol in PROTOCOLS {
            let (broken, well) = (closing(""), upstream::echo().run());
            let front = wiki_at(&[broken.address(), well.address()], "");
            let session = front.session(HOST).await;
            let asked = asked.clone().with("Cookie", &session);
            let what = format!("{protocol:?} {asked:?}");
            let mut wire = front.wire(protocol, HOST);
            // One of the two is first, and the other next.
            let first = wire.ask(&asked).await;
            let second = wire.ask(&asked).await;
            let statuses = [first.status, second.status];
            let line = format!("{} /x HTTP/1.1", asked.method());
            assert_eq!(times(&broken.heard(), &line), 1, "{what}");
            if is_repeated {
                assert_eq!(statuses, [200, 200], "{what}");
                assert_eq!(well.requests().len(), 2, "{what}");
            } else {
                assert!(statuses.contains(&502), "{what}: {statuses:?}");
                assert_eq!(well.requests().len(), 1, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_never_asked_for_again() {
    for answer in [
        "H",
        "HTTP/1.1 200 OK\r\nX: 1\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let (broken, well) = (closing(answer), upstream::echo().run());
        let front = wiki_at(&[broken.address(), well.address()], "");
        let session = front.session(HOST).await;
        let mut wire = front.wire(Protocol::Http1, HOST);
        let asked = ask("GET", "/").with("Cookie", &session);
        let statuses = [wire.ask(&asked).await.status, wire.ask(&asked).await.status];
        assert!(statuses.contains(&502), "{answer:?}: {statuses:?}");
        assert_eq!(well.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_is_sent_twice_at_the_most() {
    let apps = [(); 4].map(|()| closing(""));
    let front = wiki_at(&apps.each_ref().map(Raw::address), "");
    let session = front.session(HOST).await;
    let asked = ask("GET", "/").with("Cookie", &session);
    let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
    assert_eq!(
        (reply.status, &*reply.reason()),
        (502, "upstream_broken_off")
    );
    let heard: Vec<_> = apps.iter().flat_map(Raw::heard).collect();
    assert_eq!(times(&heard, "GET / "), 2);
}

#[tokio::test]
async fn what_could_not_be_sent_at_all_is_sent_elsewhere_whatever_it_is() {
    // S-098: also a POST, and one whose body is still under way.
    let [dead, other, well] = [(); 3].map(|()| upstream::echo().run());
    for app in [&dead, &other] {
        app.go_down().await;
    }
    let front = wiki_at(&[dead.address(), other.address(), well.address()], "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for asked in [
            ask("POST", "/").body(vec![b'x'; 100_000]),
            ask("POST", "/").chunked("abc", &[]),
            ask("DELETE", "/"),
        ] {
            let reply = wire.ask(&asked.with("Cookie", &session)).await;
            assert_eq!(reply.status, 200, "{protocol:?}");
        }
    }
    assert_eq!(well.requests().len(), 6);
    assert_eq!(well.requests()[0].body.len(), 100_000);
}

#[tokio::test]
async fn nothing_is_sent_again_after_the_time_for_an_answer() {
    let apps = [(); 2].map(|()| upstream::raw().run());
    let front = wiki_at(
        &apps.each_ref().map(Raw::address),
        "[upstream]\ntimeout = \"7s\"",
    );
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    let asked = ask("GET", "/").with("Cookie", &session);
    let asking = tokio::spawn(async move { wire.ask(&asked).await });
    let heard = || apps.iter().map(|app| app.heard().len()).sum::<usize>();
    crate::support::eventually("somebody was asked", || heard() == 1).await;
    front.vestibule.time().advance(Duration::from_secs(8));
    let reply = asking.await.unwrap();
    assert_eq!((reply.status, &*reply.reason()), (504, "upstream_timeout"));
    assert_eq!(heard(), 1);
}

/// What comes of a request on a connection that was used before and is closed in its face.
async fn on_a_used_connection(asked: Ask) -> (u16, usize, usize) {
    let app = upstream::raw()
        .answers(OK)
        .answers("")
        .then(Afterwards::Close)
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let mut wire = front.wire(Protocol::Http1, HOST);
    let first = wire
        .ask(&ask("GET", "/first").with("Cookie", &session))
        .await;
    assert_eq!(first.status, 200);
    let line = format!("{} /x HTTP/1.1", asked.method());
    let reply = wire.ask(&asked.with("Cookie", &session)).await;
    (reply.status, app.connections(), times(&app.heard(), &line))
}

#[tokio::test]
async fn an_app_that_closes_as_a_request_comes_is_asked_once_more_where_that_changes_nothing() {
    // The app's own time for idle connections may be over just then. The second connection answers.
    assert_eq!(on_a_used_connection(ask("GET", "/x")).await, (200, 2, 2));
    let post = ask("POST", "/x").body("amount=1");
    assert_eq!(on_a_used_connection(post).await, (502, 1, 1));
    let delete = ask("DELETE", "/x");
    assert_eq!(on_a_used_connection(delete).await, (502, 1, 1));
}
