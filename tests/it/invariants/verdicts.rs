//! One table of requests and verdicts, held against both protocols.

use crate::support::{
    front::{HOST, front},
    issuer::person,
    upstream,
    wire::{Ask, PROTOCOLS, Protocol, ask},
};

#[tokio::test]
async fn both_protocols_come_to_the_same_verdict() {
    // S-010
    let app = upstream::echo().run();
    let wiki = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"\n\
                [[public]]\npath = \"/read\"\nmethods = [\"GET\"]";
    let closed = "[allow]\nroles = [\"Clerk\"]";
    let front = front(|it| {
        it.route("wiki", HOST, wiki, &app)
            .route("closed", &format!("{HOST}/closed"), closed, &app)
    });
    let ann = front.session(HOST).await;
    let clerk = front
        .session_of(HOST, person("bob").roles(&["Clerk"]))
        .await;
    let by = |session: &str, asked: Ask| asked.with("Cookie", session);
    let table = [
        (ask("GET", "/"), 401, "no_session"),
        (
            by("__Host-vestibule=x", ask("GET", "/")),
            401,
            "unusable_cookie",
        ),
        (by(&ann, ask("GET", "/")), 200, ""),
        (by(&ann, ask("GET", "/closed")), 403, "not_allowed"),
        (by(&ann, ask("GET", "/closed/x")), 403, "not_allowed"),
        (by(&ann, ask("GET", "/closedx")), 200, ""),
        (by(&clerk, ask("GET", "/closed")), 200, ""),
        // Not plain, and both routes lead to the same app: both must agree.
        (by(&ann, ask("GET", "/x/..%2fclosed")), 403, "not_allowed"),
        (by(&clerk, ask("GET", "/x/..%2fclosed")), 200, ""),
        (ask("GET", "/pub/x"), 200, ""),
        (ask("GET", "/pub"), 401, "no_session"),
        (ask("GET", "/pub/../x"), 401, "no_session"),
        (ask("GET", "/PUB/x"), 401, "no_session"),
        (ask("GET", "/read"), 200, ""),
        (ask("HEAD", "/read"), 200, ""),
        (ask("POST", "/read").body("x"), 401, "no_session"),
        (ask("OPTIONS", "/"), 401, "no_session"),
        (ask("TRACE", "/"), 405, "method_refused"),
        (ask("TRACK", "/"), 405, "method_refused"),
        (ask("GET", "/%zz"), 400, "malformed_target"),
        (by(&ann, ask("GET", "/%00")), 400, "malformed_target"),
        (by(&ann, ask("GET", "/%c0%af")), 400, "malformed_target"),
        (ask("GET", "/").at("other.example"), 421, ""),
        (ask("GET", "/pub/x").at("wiki.example:1"), 421, ""),
        (
            ask("GET", "/").at("wiki.example:0443"),
            400,
            "malformed_host",
        ),
        (ask("GET", "/.vestibule/nothing"), 404, "unknown_endpoint"),
        (
            ask("POST", "/.vestibule/me").body(""),
            405,
            "method_refused",
        ),
        (by(&ann, ask("GET", "/.vestibule/me")), 200, ""),
        (ask("GET", "/.vestibule/me"), 401, "no_session"),
    ];
    for (asked, status, reason) in table {
        let is_head = asked.method() == "HEAD";
        for protocol in PROTOCOLS {
            let before = app.requests().len();
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            let said = if is_head {
                String::new()
            } else {
                reply.reason()
            };
            assert_eq!(
                (reply.status, &*said),
                (status, reason),
                "{protocol:?} {asked:?}"
            );
            let is_own = asked.target().starts_with("/.vestibule/");
            let forwarded = usize::from(status == 200 && !is_own);
            assert_eq!(app.requests().len() - before, forwarded, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn two_hosts_in_one_request_are_refused_over_both() {
    // S-217, S-219
    let app = upstream::raw().run();
    let front = front(|it| it.route("wiki", HOST, "allow = \"signed-in\"", &app));
    let authority = front.vestibule.authority(HOST);
    for (second, protocol, status) in [
        ("other.example", Protocol::Http1, 400),
        (&*authority, Protocol::Http1, 400),
        ("other.example", Protocol::Http2, 400),
        // Over HTTP/2 the same host may be said twice: there is one answer.
        (&*authority, Protocol::Http2, 401),
    ] {
        let asked = ask("GET", "/").with("Host", second);
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!(reply.status, status, "{second} {protocol:?}");
    }
    app.assert_silent().await;
}
