//! Apps that are down, slow, wrong or broken: what the client gets, and that nobody else notices.

mod streaming;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

use crate::support::{
    eventually,
    front::{Front, HOST, front, wiki},
    upstream::{self, Afterwards, Raw},
    wire::{Ask, PROTOCOLS, Protocol, ask},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Nothing of ours may tell where the app is.
fn assert_names_no_address(text: &str, app: std::net::SocketAddr) {
    assert!(!text.contains(&app.port().to_string()), "{text}");
    assert!(!text.contains(&app.ip().to_string()), "{text}");
}

#[tokio::test]
async fn an_app_that_is_down_is_a_page_for_people_and_a_problem_for_machines() {
    // S-238
    let app = upstream::echo().run();
    let other = upstream::echo().run();
    let front = front(|it| {
        it.route(
            "wiki",
            HOST,
            "title = \"The wiki\"\nallow = \"signed-in\"",
            &app,
        )
        .route(
            "other",
            &format!("{HOST}/other"),
            "allow = \"signed-in\"",
            &other,
        )
    });
    let mut browser = front.sign_in(HOST).await;
    let url = front.vestibule.url(HOST, "/");
    let sample = "vestibule_requests_total{route=\"wiki\",decision=\"unavailable\"}";
    let before = front.metric(sample);
    app.go_down().await;
    for _ in 0..2 {
        let page = browser.view(&url).await;
        assert_eq!(page.status, 502);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(page.text().contains("The wiki"), "{}", page.text());
        let problem = browser.get(&url).await;
        assert_eq!(problem.status, 502);
        assert_eq!(problem.json()["reason"], "upstream_unreachable");
        for answer in [&page, &problem] {
            let all = format!("{:?} {}", answer.headers, answer.text());
            assert_names_no_address(
                &all.replace(&front.vestibule.authority(HOST), ""),
                app.address(),
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        // Nobody else notices.
        let elsewhere = browser.get(&front.vestibule.url(HOST, "/other")).await;
        assert_eq!(elsewhere.status, 200);
        let own = browser
            .get(&front.vestibule.url(HOST, "/.vestibule/me"))
            .await;
        assert_eq!(own.status, 200);
        browser = browser.http2();
    }
    app.come_back();
    assert_eq!(browser.get(&url).await.status, 200);
    assert_eq!(front.metric(sample) - before, 4);
}

#[tokio::test]
async fn an_app_that_is_slow_is_given_up_on_in_time() {
    let app = upstream::raw().run();
    let front = wiki(&app, "[upstream]\ntimeout = \"7s\"");
    let session = front.session(HOST).await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("GET", "/").with("Cookie", &session);
        let asking = tokio::spawn(async move { wire.ask(&asked).await });
        eventually("the app was asked", || app.heard().len() == number + 1).await;
        front.vestibule.time().advance(Duration::from_millis(6_900));
        tokio::task::yield_now().await;
        assert!(!asking.is_finished(), "it has a tenth of a second left");
        front.vestibule.time().advance(Duration::from_millis(200));
        let reply = asking.await.unwrap();
        assert_eq!((reply.status, &*reply.reason()), (504, "upstream_timeout"));
        assert_names_no_address(&reply.text(), app.address());
    }
}

/// What a client gets when the app says `answer` and, unless it listens on, closes.
async fn answered(
    answer: &[u8],
    afterwards: Afterwards,
    asked: &Ask,
    protocol: Protocol,
) -> (u16, String) {
    let app = upstream::raw()
        .answers(answer.to_vec())
        .then(afterwards)
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let asked = asked.clone().with("Cookie", &session);
    let reply = front.wire(protocol, HOST).ask(&asked).await;
    assert_eq!(app.heard().len(), 1, "asked once");
    if reply.status >= 500 {
        assert_names_no_address(&reply.text(), app.address());
    }
    (reply.status, reply.reason())
}

#[tokio::test]
async fn what_is_no_answer_is_a_bad_gateway() {
    // S-087, S-225, S-233
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(300));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    for (answer, reason) in [
        (&b""[..], "upstream_broken_off"),
        (b"HTTP/1.1 200 OK\r\nX: 1\r\n", "upstream_broken_off"),
        (b"garbage\r\n\r\n", "upstream_bad_answer"),
        (b"\x16\x03\x01\x00\x2a\x01\x00", "upstream_bad_answer"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "upstream_bad_answer"),
        (b"HTTP/1.1 099 Low\r\n\r\n", "upstream_bad_answer"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "upstream_bad_answer"),
        (b"HTTP/1.1 200 OK\r\nX\0: 1\r\n\r\n", "upstream_bad_answer"),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "upstream_bad_answer"),
        (
            b"HTTP/1.1 200 OK\r\nX\xe9: 1\r\n\r\n",
            "upstream_bad_answer",
        ),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
            "upstream_unasked_upgrade",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
            "upstream_bad_answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
            "upstream_bad_answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "upstream_bad_answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
            "upstream_bad_answer",
        ),
        (long.as_bytes(), "upstream_bad_answer"),
        (many.as_bytes(), "upstream_bad_answer"),
    ] {
        for protocol in PROTOCOLS {
            let came = answered(answer, Afterwards::Close, &ask("GET", "/"), protocol).await;
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]);
            assert_eq!(came, (502, reason.to_owned()), "{shown:?} {protocol:?}");
        }
    }
    // Interim answers are between the app and us, unless they never stop.
    for (interim_answers, status) in [(16, 200), (17, 502)] {
        let answer = format!("{}{OK}", interim.repeat(interim_answers));
        for protocol in PROTOCOLS {
            let asked = ask("GET", "/");
            let came = answered(answer.as_bytes(), Afterwards::Listen, &asked, protocol).await;
            assert_eq!(came.0, status, "{interim_answers} {protocol:?}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_nobody_can_have_is_never_a_tunnel() {
    // S-086, S-087: the app agrees to an upgrade that was cut from the request.
    let app = upstream::raw()
        .answers("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
        .then(Afterwards::Echo)
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\nConnection: upgrade\r\n\
         Upgrade: foo\r\n\r\nGET /admin HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    );
    let answer = front.vestibule.raw(HOST).say(request).await;
    // What came behind the head is a request of its own, and nobody is signed in for it.
    assert_eq!(answer.statuses(), [502, 401], "{}", answer.text());
    let heard: Vec<_> = app.heard().concat();
    let heard = String::from_utf8(heard).unwrap().to_ascii_lowercase();
    assert_eq!(heard.matches(" http/1.1\r\n").count(), 1, "{heard}");
    assert!(
        !heard.contains("upgrade") && !heard.contains("/admin"),
        "{heard}"
    );
}

/// An app whose answer breaks off, and a session for it.
async fn breaking_off(answer: &str) -> (Front, Raw, String) {
    let app = upstream::raw()
        .answers(answer.to_owned())
        .then(Afterwards::Close)
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    (front, app, session)
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_off_for_the_client() {
    // S-225: what was cut short never looks whole.
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: 1",
    ] {
        let (front, _app, session) = breaking_off(answer).await;
        let asked = ask("GET", "/").with("Cookie", &session);
        let reply = front.wire(Protocol::Http2, HOST).try_ask(&asked).await;
        assert!(reply.is_none(), "{answer:?}: {reply:?}");

        let authority = front.vestibule.authority(HOST);
        let request = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n\r\n");
        let came = front.vestibule.raw(HOST).say(request).await;
        let text = came.text();
        assert!(came.closed && text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
        let announces_more = text.contains("content-length: 9\r\n") || text.contains("chunked");
        assert!(announces_more, "{text}");
    }
}

#[tokio::test]
async fn surplus_bytes_reach_nobody() {
    // S-096
    let answer = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let app = upstream::raw().answers(answer).run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..5 {
            let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
            assert_eq!((reply.status, &*reply.text()), (200, "hi"));
        }
    }
    assert_eq!(app.connections(), 10, "none was used a second time");
}

#[tokio::test]
async fn a_post_is_sent_at_most_once() {
    // S-098: on a fresh connection, and on one that was used before.
    for good_answers in [0, 1] {
        for protocol in PROTOCOLS {
            let mut app = upstream::raw();
            for _ in 0..good_answers {
                app = app.answers(OK);
            }
            let app = app.answers("").then(Afterwards::Close).run();
            let front = wiki(&app, "");
            let session = front.session(HOST).await;
            let mut wire = front.wire(protocol, HOST);
            for _ in 0..good_answers {
                let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
                assert_eq!(reply.status, 200);
            }
            let asked = ask("POST", "/pay")
                .with("Cookie", &session)
                .body("amount=1");
            let reply = wire.ask(&asked).await;
            assert_eq!(
                (reply.status, &*reply.reason()),
                (502, "upstream_broken_off")
            );
            let heard = app.heard().concat();
            let heard = String::from_utf8(heard).unwrap();
            assert_eq!(heard.matches("POST /pay").count(), 1, "{heard}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_never_arrives() {
    // S-221
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    for (framing, piece) in [
        ("Content-Length: 9", "half"),
        ("Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
    ] {
        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n{framing}\r\n\r\n{piece}"
        );
        let before = app.connections();
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
            .await
            .unwrap();
        eventually("the upload began", || app.connections() > before).await;
        drop(stream);
    }
    // The app keeps what is whole: it is asked again, and has seen nothing else.
    let reply = front
        .wire(Protocol::Http1, HOST)
        .ask(&ask("GET", "/last").with("Cookie", &session))
        .await;
    assert_eq!(reply.status, 200);
    app.go_down().await;
    assert_eq!(app.only_request().target, "/last");
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_reaches_the_client() {
    // S-090, S-225: the app refuses a large upload at its head.
    let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    for protocol in PROTOCOLS {
        let app = upstream::raw().answers(refusal).run();
        let front = wiki(&app, "");
        let session = front.session(HOST).await;
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("POST", "/")
            .with("Cookie", &session)
            .body(vec![b'x'; 300_000]);
        let reply = wire.ask(&asked).await;
        assert_eq!((reply.status, &*reply.text()), (413, "no"));
        // What is left of the upload becomes nobody's request.
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("POST", "/2").with("Cookie", &session).body("b");
        assert_eq!(wire.ask(&asked).await.status, 413, "{protocol:?}");
        assert_eq!(app.connections(), 2);
    }
}

#[tokio::test]
async fn a_body_that_was_never_read_becomes_no_request() {
    // S-090, S-211: refused by us, with a request hidden in the body.
    let app = upstream::raw().run();
    let front = wiki(&app, "");
    let authority = front.vestibule.authority(HOST);
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    for target in ["/", "/.vestibule/me", "/.vestibule/unknown", "/%zz"] {
        for method in ["GET", "POST", "DELETE"] {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\n\r\n{hidden}",
                hidden.len()
            );
            let answer = front.vestibule.raw(HOST).say(request).await;
            assert_eq!(
                answer.statuses().len(),
                1,
                "{method} {target}: {}",
                answer.text()
            );
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn answers_of_every_shape_pass() {
    // S-225: older and plainer apps than ours
    for (answer, status, length) in [
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, 13),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
            200,
            13,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
            204,
            0,
        ),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"7\"\r\n\r\n", 304, 0),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
            404,
            4,
        ),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nnope", 500, 4),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n",
            200,
            2,
        ),
    ] {
        let (front, _app, session) = breaking_off(answer).await;
        let asked = ask("GET", "/").with("Cookie", &session);
        let reply = front.wire(Protocol::Http2, HOST).ask(&asked).await;
        assert_eq!(
            (reply.status, reply.body.len()),
            (status, length),
            "{answer:?}"
        );
        let mut browser = front.vestibule.browser();
        let request = Request::get(front.vestibule.url(HOST, "/")).header("cookie", &session);
        let answer = browser.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len()),
            (status, length)
        );
    }
}

#[tokio::test]
async fn a_head_has_no_body_on_the_way_back() {
    // S-225
    let app = upstream::echo()
        .answering(|_| Response::new(Full::new(Bytes::from_static(b"four"))))
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..2 {
            let reply = wire.ask(&ask("HEAD", "/").with("Cookie", &session)).await;
            assert_eq!((reply.status, reply.body.len()), (200, 0));
            assert_eq!(reply.header("content-length"), Some("4"));
            let reply = wire.ask(&ask("GET", "/").with("Cookie", &session)).await;
            assert_eq!(reply.text(), "four");
        }
    }
}
