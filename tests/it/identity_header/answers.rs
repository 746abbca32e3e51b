//! What an app may say to the browser, and what is ours to say.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::support::{
    front::{Front, HOST, front, wiki},
    upstream::{self, Echo},
    wire::{PROTOCOLS, Protocol, Reply, ask},
};

/// An app that answers everything with these fields.
fn app_saying(fields: &'static [(&'static str, &'static str)]) -> Echo {
    upstream::echo()
        .answering(move |_| {
            let mut answer = Response::builder();
            for (name, value) in fields {
                answer = answer.header(*name, *value);
            }
            answer.body(Full::new(Bytes::from_static(b"hi"))).unwrap()
        })
        .run()
}

async fn signed_in(front: &Front, protocol: Protocol) -> Reply {
    let session = front.session(HOST).await;
    let asked = ask("GET", "/").with("Cookie", &session);
    front.wire(protocol, HOST).ask(&asked).await
}

#[tokio::test]
async fn an_app_can_set_no_cookie_of_ours() {
    // S-232
    let app = app_saying(&[
        ("set-cookie", "__Host-vestibule=evil; Path=/; Secure"),
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "__HOST-Vestibule=evil; Domain=example"),
        (
            "set-cookie",
            "__Host-vestibule-login-abcdefgh=x; Path=/; Secure",
        ),
        ("set-cookie", " __Host-vestibule =x"),
        ("set-cookie", "__Host-app=2; Path=/; Secure; HttpOnly"),
        ("set-cookie", "b=__Host; Path=/"),
    ]);
    let front = wiki(&app, "");
    for protocol in PROTOCOLS {
        let reply = signed_in(&front, protocol).await;
        let set: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
        assert_eq!(
            set,
            [
                "a=1; Path=/",
                "__Host-app=2; Path=/; Secure; HttpOnly",
                "b=__Host; Path=/"
            ]
        );
    }
}

#[tokio::test]
async fn an_app_does_not_speak_for_the_host_or_for_us() {
    // S-232, S-234, S-238
    let app = app_saying(&[
        ("strict-transport-security", "max-age=0"),
        ("alt-svc", "h3=\":443\""),
        ("server", "legacy/1.0 (10.0.0.7)"),
        ("via", "1.1 inner.corp"),
        ("x-forwarded-user", "boss"),
        ("x_forwarded_user", "boss"),
        ("keep-alive", "timeout=5"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("clear-site-data", "\"cache\", \"cookies\""),
        ("content-security-policy", "default-src 'self'"),
        ("access-control-allow-origin", "https://partner.example"),
        ("x-app", "1"),
        ("etag", "\"7\""),
    ]);
    let front = wiki(&app, "");
    for protocol in PROTOCOLS {
        let reply = signed_in(&front, protocol).await;
        for gone in [
            "alt-svc",
            "server",
            "via",
            "x-forwarded-user",
            "x_forwarded_user",
            "keep-alive",
            "x-hop",
        ] {
            assert_eq!(reply.header(gone), None, "{gone}");
        }
        assert_eq!(
            reply.header("strict-transport-security"),
            Some("max-age=86400")
        );
        assert_eq!(reply.header("clear-site-data"), Some("\"cache\""));
        assert_eq!(
            reply.header("content-security-policy"),
            Some("default-src 'self'")
        );
        assert_eq!(
            reply.header("access-control-allow-origin"),
            Some("https://partner.example")
        );
        assert_eq!(
            (reply.header("x-app"), reply.header("etag")),
            (Some("1"), Some("\"7\""))
        );
    }
}

#[tokio::test]
async fn what_a_session_decided_is_kept_out_of_shared_caches() {
    // S-247
    for (says, kept) in [
        (&[][..], Some("private")),
        (
            &[("cache-control", "public, max-age=600")],
            Some("max-age=600, private"),
        ),
        (
            &[("cache-control", "s-maxage=9, no-cache")],
            Some("no-cache, private"),
        ),
        (&[("cache-control", "no-store")], Some("no-store")),
        (
            &[("cache-control", "private, max-age=1")],
            Some("private, max-age=1"),
        ),
        (
            &[("expires", "Thu, 01 Jan 2099 00:00:00 GMT")],
            Some("private"),
        ),
    ] {
        let app = app_saying(says);
        let front = wiki(&app, "[[public]]\npath = \"/pub\"");
        for protocol in PROTOCOLS {
            let reply = signed_in(&front, protocol).await;
            assert_eq!(reply.header("cache-control"), kept, "{says:?}");
            // Nobody's identity decided here: it is the app's word that counts.
            let reply = front.wire(protocol, HOST).get("/pub").await;
            let says = says.iter().find(|(name, _)| *name == "cache-control");
            assert_eq!(reply.header("cache-control"), says.map(|(_, value)| *value));
        }
    }
}

#[tokio::test]
async fn every_answer_of_ours_says_what_pages_of_ours_say() {
    // S-247, S-249, S-238, S-239
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    front.provider_is_known(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (asked, status) in [
            (ask("GET", "/"), 401),
            (ask("GET", "/").with("Accept", "text/html"), 302),
            (ask("HEAD", "/").with("Accept", "text/html"), 401),
            (
                ask("POST", "/").with("Accept", "text/html").body("a=b"),
                401,
            ),
            (
                ask("OPTIONS", "/")
                    .with("Origin", "https://evil.test")
                    .with("Access-Control-Request-Method", "PUT"),
                401,
            ),
            (ask("TRACE", "/"), 405),
            (ask("GET", "/%zz").with("Accept", "text/html"), 400),
            (
                ask("GET", "/.vestibule/nothing").with("Accept", "text/html"),
                404,
            ),
            (ask("DELETE", "/.vestibule/me"), 405),
            (
                ask("GET", "/.vestibule/callback?state=x&code=y").with("Accept", "text/html"),
                400,
            ),
            (
                ask("GET", "/.vestibule/signed-out").with("Accept", "text/html"),
                200,
            ),
        ] {
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status, status, "{asked:?}: {}", reply.text());
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{asked:?}");
            assert_eq!(
                reply.header("referrer-policy"),
                Some("no-referrer"),
                "{asked:?}"
            );
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(
                reply.header("strict-transport-security"),
                Some("max-age=86400")
            );
            let policy = reply.header("content-security-policy").unwrap_or_default();
            assert!(
                policy.contains("frame-ancestors 'none'"),
                "{asked:?}: {policy}"
            );
            for name in [
                "server",
                "via",
                "www-authenticate",
                "access-control-allow-origin",
            ] {
                assert_eq!(reply.header(name), None, "{name} of {asked:?}");
            }
            assert!(
                !reply.text().contains(env!("CARGO_PKG_VERSION")),
                "{asked:?}"
            );
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn strict_transport_security_is_as_configured() {
    for (written, sent) in [("2h", Some("max-age=7200")), ("off", None)] {
        let app = app_saying(&[("strict-transport-security", "max-age=1; preload")]);
        let front = front(|it| {
            it.variable("VESTIBULE_LISTEN__HSTS", written).route(
                "wiki",
                HOST,
                "allow = \"signed-in\"",
                &app,
            )
        });
        for protocol in PROTOCOLS {
            let name = "strict-transport-security";
            let reply = signed_in(&front, protocol).await;
            assert_eq!((reply.status, reply.header(name)), (200, sent));
            let reply = front.wire(protocol, HOST).get("/").await;
            assert_eq!((reply.status, reply.header(name)), (401, sent));
        }
    }
}

#[tokio::test]
async fn bodies_pass_as_the_app_sent_them() {
    // S-237
    let app = app_saying(&[
        ("content-encoding", "gzip"),
        ("content-range", "bytes 0-1/9"),
        ("accept-ranges", "bytes"),
    ]);
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/")
            .with("Cookie", &session)
            .with("Range", "bytes=0-1")
            .with("If-Range", "\"7\"")
            .with("Accept-Encoding", "gzip, br");
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!(&reply.body[..], b"hi");
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        let seen = app.requests().pop().unwrap();
        for (name, value) in [
            ("range", "bytes=0-1"),
            ("if-range", "\"7\""),
            ("accept-encoding", "gzip, br"),
        ] {
            assert_eq!(seen.header(name), Some(value));
        }
    }
}
