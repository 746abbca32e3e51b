//! Public rules open plain paths and nothing else, however a path is spelled.

use crate::support::{
    front::{Front, HOST, front, wiki},
    upstream::{self, Echo},
    wire::{PROTOCOLS, Protocol, Wire, ask},
};

const RULES: &str = "[[public]]\npath = \"/public/*\"\n[[public]]\npath = \"/exact\"\n\
                     [[public]]\npath = \"/form\"\nmethods = [\"GET\"]";

fn opened() -> (Front, Echo) {
    let app = upstream::echo().run();
    let front = wiki(&app, RULES);
    (front, app)
}

/// The status of a request without a session.
async fn status(wire: &mut Wire, method: &str, target: &str) -> u16 {
    wire.ask(&ask(method, target)).await.status
}

#[tokio::test]
async fn what_a_rule_opens_is_open() {
    let (front, app) = opened();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (method, target) in [
            ("GET", "/public/"),
            ("GET", "/public/a/b.css"),
            ("DELETE", "/public/a"),
            ("GET", "/public/a%20b"),
            ("GET", "/public/%C3%A4"),
            ("GET", "/public/a?next=/../secret;x#"),
            ("GET", "/exact"),
            ("GET", "/exact?x"),
            ("GET", "/form"),
            ("HEAD", "/form"),
        ] {
            let target = target.trim_end_matches('#');
            assert_eq!(
                status(&mut wire, method, target).await,
                200,
                "{method} {target}"
            );
            let seen = app.requests().pop().unwrap();
            assert_eq!((&*seen.method, &*seen.target), (method, target));
        }
    }
}

#[tokio::test]
async fn every_other_spelling_is_protected() {
    // S-034, S-037, S-038, S-039, S-040, S-041, S-042, S-043
    let (front, app) = opened();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for target in [
            "/",
            "/secret",
            "/secret?x=/public/",
            "/secret?/exact",
            "/public",
            "/public-not",
            "/public..",
            "/public../admin",
            "/PUBLIC/a",
            "/Public/a",
            "/%70ublic/a",
            "/public%2fa",
            "/public%2Fa",
            "/exact/",
            "/exact/x",
            "/exac%74",
            "/EXACT",
            "/exact;x",
            "/exact%3bx",
            "/exact%20",
            "/exact.",
            "//exact",
            "//public/a",
            "/./exact",
            "/x/../exact",
            "/public/../admin",
            "/public/..",
            "/public/.",
            "/public/./a",
            "/public/%2e%2e/admin",
            "/public/%2E%2E/admin",
            "/public/%2e%2e%2fadmin",
            "/public/..%2fadmin",
            "/public/..%2Fadmin",
            "/public/..;/admin",
            "/public/;/admin",
            "/public/a;b",
            "/public/.%2e/admin",
            "/public/%252e%252e/admin",
            "/public/%25",
            "/public/%5c..%5cadmin",
            "/public/..%5cadmin",
            "/public\\..\\admin",
            "/public/..\\admin",
            "/public//../admin",
            "/public//a",
            "/public/a//",
            "/public/%23/../admin",
            "/public/%3f/../admin",
            "/public/a%0d%0ab",
            "/public/a%09",
            "/public/a%7f",
        ] {
            assert_eq!(
                status(&mut wire, "GET", target).await,
                401,
                "{protocol:?} {target}"
            );
        }
        for method in ["POST", "OPTIONS", "PUT", "GETX"] {
            assert_eq!(status(&mut wire, method, "/form").await, 401, "{method}");
        }
        assert_eq!(status(&mut wire, "get", "/form").await, 400);
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn what_nobody_can_read_is_refused_with_and_without_a_session() {
    // S-036
    let (front, app) = opened();
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for target in [
            "/%",
            "/%z",
            "/%zz",
            "/a%2",
            "/%00",
            "/public/%00",
            "/%c0%af",
            "/%C0%AF",
            "/%c1%9c",
            "/public/%c0%ae%c0%ae/admin",
        ] {
            for cookie in ["a=b", &session] {
                let reply = wire.ask(&ask("GET", target).with("Cookie", cookie)).await;
                assert_eq!(
                    (reply.status, &*reply.reason()),
                    (400, "malformed_target"),
                    "{target}"
                );
            }
        }
    }
    let authority = front.vestibule.authority(HOST);
    let raw = front.vestibule.raw(HOST);
    for target in [
        "",
        "*",
        "x",
        "http:",
        "//\u{e4}",
        "/\u{80}",
        "/\u{ff}",
        "/\u{7f}",
        "/a\tb",
        "/\u{1}",
        "/a b",
        "/public/\u{c3}\u{a4}",
        "?x",
        "/?\u{e4}",
        "/?\u{7f}",
    ] {
        for cookie in ["a=b", &session] {
            let mut request = b"GET ".to_vec();
            request.extend(
                target
                    .chars()
                    .map(|it| u8::try_from(u32::from(it)).unwrap()),
            );
            let rest = format!(
                " HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
            );
            request.extend_from_slice(rest.as_bytes());
            let answer = raw.say(request).await;
            assert_eq!(answer.statuses(), [400], "{target:?}: {}", answer.text());
            assert!(answer.closed);
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn a_rule_of_a_prefixed_route_is_about_the_whole_path() {
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/app/open/*\"";
    let front = front(|it| it.route("app", &format!("{HOST}/app"), rules, &app));
    let mut wire = front.wire(Protocol::Http1, HOST);
    assert_eq!(status(&mut wire, "GET", "/app/open/x").await, 200);
    assert_eq!(status(&mut wire, "GET", "/app/x").await, 401);
    assert_eq!(status(&mut wire, "GET", "/open/x").await, 404);
    assert_eq!(app.only_request().target, "/app/open/x");
}

#[tokio::test]
async fn the_seam_between_two_routes_belongs_to_the_stricter() {
    // S-043: one app behind two routes may read an odd path as one of either.
    let app = upstream::echo().run();
    let front = front(|it| {
        it.route("open", HOST, "allow = \"signed-in\"", &app).route(
            "a",
            &format!("{HOST}/a"),
            "[allow]\nroles = [\"Clerk\"]",
            &app,
        )
    });
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (target, expected) in [
            ("/b", 200),
            ("/ab", 200),
            ("/A", 403),
            ("/b/a", 200),
            ("/a", 403),
            ("/a/", 403),
            ("/a/b", 403),
            ("/a;x", 403),
            ("/a%2f", 403),
            ("/a%2fb", 403),
            ("/%61", 403),
            ("/b/..;/a", 403),
            ("/b/../a", 403),
            ("/b/%2e%2e/a", 403),
            ("//a", 403),
            ("/a/..;/b", 403),
            ("/a/../b", 403),
            ("/.;/a", 403),
            ("/b\\..\\a", 403),
        ] {
            let before = app.requests().len();
            let reply = wire.ask(&ask("GET", target).with("Cookie", &session)).await;
            assert_eq!(reply.status, expected, "{target}");
            assert_eq!(app.requests().len() - before, usize::from(expected == 200));
        }
    }
}

#[tokio::test]
async fn what_is_open_does_not_open_another_route_in_any_spelling() {
    // S-038, S-040, S-043: the two addresses of the app are one app to itself.
    let app = upstream::echo().run();
    let front = front(|it| {
        let open = "allow = \"signed-in\"\n[[public]]\npath = \"/docs/*\"";
        it.route("all", HOST, open, &app).route(
            "internal",
            &format!("{HOST}/docs/internal"),
            "[allow]\nroles = [\"Clerk\"]",
            &app,
        )
    });
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for target in [
            "/docs/internal/x",
            "/docs/%69nternal/x",
            "/docs/INTERNAL/x",
            "/docs/internal./x",
            "/docs/internal%20/x",
            "/docs/internal::$DATA",
            "/docs//internal/x",
            "/docs;v=1/internal/x",
            "/docs/x/../internal/x",
        ] {
            assert_eq!(status(&mut wire, "GET", target).await, 401, "{target}");
            let signed_in = ask("GET", target).with("Cookie", &session);
            assert_eq!(wire.ask(&signed_in).await.status, 403, "{target}");
        }
        assert_eq!(
            app.requests().len(),
            usize::from(protocol == Protocol::Http2)
        );
        assert_eq!(status(&mut wire, "GET", "/docs/other").await, 200);
    }
}

#[tokio::test]
async fn a_body_where_none_is_expected_never_becomes_a_request() {
    // S-211: some apps take no notice of it and would read it as what comes next.
    let app = upstream::echo().run();
    let front = wiki(&app, "[[public]]\npath = \"/pub\"");
    let session = front.session(HOST).await;
    let hidden = "GET /admin HTTP/1.1\r\nX-Forwarded-User: mallory\r\n\r\n";
    for protocol in PROTOCOLS {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let before = app.requests().len();
            let mut wire = front.wire(protocol, HOST);
            let reply = wire.ask(&ask(method, "/pub").body(hidden)).await;
            assert_eq!(reply.status, 400, "{method}");
            assert_eq!(app.requests().len(), before, "{method}");

            // With a session it goes, and nothing behind it is read.
            let mut wire = front.wire(protocol, HOST);
            let asked = ask(method, "/x").body(hidden).with("Cookie", &session);
            assert_eq!(wire.ask(&asked).await.status, 200, "{method}");
            let read = app.requests().pop().unwrap();
            assert_eq!(app.requests().len(), before + 1);
            assert_eq!(read.header("connection"), Some("close"), "{method}");
            assert_eq!(read.body, hidden.as_bytes());
        }
    }
}
