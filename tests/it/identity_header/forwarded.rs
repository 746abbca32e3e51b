//! What apps believe because a front wrote it: rebuilt from the socket and the configuration.

use super::{SHOP, Scene, scene, taken_for};
use crate::support::{
    front::{HOST, front},
    upstream,
    wire::{PROTOCOLS, Protocol, ask},
};

/// Names that some app or front believes, with what a client would like it to believe.
const CLAIMED: &[(&str, &str)] = &[
    ("X-Forwarded-For", "10.0.0.1"),
    ("X_Forwarded_For", "10.0.0.1"),
    ("X-Forwarded-Proto", "javascript"),
    ("X_Forwarded_Proto", "http"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Prefix", "/admin"),
    ("X-Forwarded-Port", "444"),
    ("X-Forwarded-Server", "evil.test"),
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Uri", "/public"),
    ("X-Forwarded-Path", "/public"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Client-Cert", "evil"),
    ("X-Forwarded", "for=10.0.0.1"),
    ("X-Real-IP", "10.0.0.1"),
    ("True-Client-IP", "10.0.0.1"),
    ("X-Client-IP", "10.0.0.1"),
    ("Forwarded", "for=127.0.0.1;proto=http"),
    ("X-Original-URL", "/public"),
    ("X-Original-URI", "/public"),
    ("X-Rewrite-URL", "/public"),
    ("X-HTTP-Method", "GET"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Method-Override", "DELETE"),
    ("X-Accel-Redirect", "/secret"),
    ("X-Sendfile", "/etc/passwd"),
    ("X-Request-Id", "chosen"),
];

/// What we say under one of these names, and nobody else.
const OURS: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

#[tokio::test]
async fn what_a_front_says_is_ours_alone() {
    // S-023, S-025, S-027, S-234
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut asked = scene.ask("/a?b");
        for (name, value) in CLAIMED {
            asked = asked.with(name, value);
        }
        let seen = scene.seen(&mut scene.wire(protocol), &asked).await;
        let authority = scene.front.vestibule.authority(HOST);
        assert_eq!(taken_for(&seen, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(taken_for(&seen, "x-forwarded-proto"), ["https"]);
        assert_eq!(taken_for(&seen, "x-forwarded-host"), [authority.as_str()]);
        assert_eq!(seen.header("host"), Some(authority.as_str()));
        assert_eq!((&*seen.method, &*seen.target), ("GET", "/a?b"));
        for (name, _) in CLAIMED {
            let is_ours = OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
            assert_eq!(seen.all(name).len(), usize::from(is_ours), "{name}");
        }
        let id = seen.header("x-request-id").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit()));
    }
}

#[tokio::test]
async fn the_clients_address_is_the_sockets() {
    // S-027
    let scene = scene().await;
    let many = vec!["1.2.3.4"; 500].join(", ");
    for line in [
        "1.2.3.4",
        "garbage",
        "::ffff:10.0.0.1",
        "[2001:db8::1]:443",
        "fe80::1%eth0",
        "",
        &many,
    ] {
        let asked = scene.ask("/").with("X-Forwarded-For", line);
        let seen = scene.seen(&mut scene.wire(Protocol::Http1), &asked).await;
        assert_eq!(taken_for(&seen, "x-forwarded-for"), ["127.0.0.1"], "{line}");
    }
}

#[tokio::test]
async fn a_rule_looks_at_the_request_line_alone() {
    // S-024
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"\n\
                 [[public]]\npath = \"/public\"\n[[public]]\npath = \"/form\"\nmethods = [\"GET\"]";
    let front = front(|it| it.route("wiki", HOST, rules, &app));
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for name in [
            "X-Forwarded-Uri",
            "X-Original-URL",
            "X-Original-URI",
            "X-Rewrite-URL",
            "X-Forwarded-Path",
            "X-Forwarded-Prefix",
        ] {
            let reply = wire.ask(&ask("GET", "/secret").with(name, "/public")).await;
            assert_eq!(reply.status, 401, "{name}");
        }
        for name in [
            "X-HTTP-Method-Override",
            "X-Forwarded-Method",
            "X-HTTP-Method",
        ] {
            let reply = wire
                .ask(&ask("POST", "/form").with(name, "GET").body(""))
                .await;
            assert_eq!(reply.status, 401, "{name}");
        }
        let reply = wire
            .ask(&ask("GET", "/secret").with("Forwarded", "for=127.0.0.1;host=localhost"))
            .await;
        assert_eq!(reply.status, 401);
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn every_address_of_ours_is_built_from_the_configuration() {
    // S-026, S-029
    let scene = scene().await;
    let evil = [
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Port", "444"),
        ("Forwarded", "host=evil.test;proto=javascript"),
        ("Referer", "https://evil.test/"),
    ];
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        for target in [
            "/page",
            "/.vestibule/login?return=https://evil.test/",
            "/.vestibule/login?return=//evil.test/",
            "/.vestibule/logout",
            "/.vestibule/callback?error=access_denied&state=x",
            "/.vestibule/nothing",
            "/%zz",
        ] {
            let mut asked = ask("GET", target).with("Accept", "text/html");
            for (name, value) in evil {
                asked = asked.with(name, value);
            }
            let reply = wire.ask(&asked).await;
            let location = reply.header("location").unwrap_or_default().to_owned();
            let said = format!("{location} {}", reply.text());
            assert!(!said.contains("evil.test"), "{target}: {said}");
            assert!(!said.contains("javascript"), "{target}: {said}");
        }
        let reply = wire.ask(&ask("GET", "/").with("Accept", "text/html")).await;
        let location = url::Url::parse(reply.header("location").unwrap()).unwrap();
        let (_, uri) = location
            .query_pairs()
            .find(|(name, _)| name == "redirect_uri")
            .unwrap();
        assert_eq!(uri, scene.front.vestibule.url(HOST, "/.vestibule/callback"));
    }
}

#[tokio::test]
async fn the_app_gets_a_request_id_and_a_trace() {
    let scene = scene().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let parent = format!("00-{trace}-b7ad6b7169203331-01");
        let asked = scene
            .ask("/")
            .with("traceparent", &parent)
            .with("tracestate", "a=1");
        let seen = scene.seen(&mut wire, &asked).await;
        let continued = seen.header("traceparent").unwrap();
        assert!(continued.contains(trace) && continued != parent);
        assert_eq!(seen.header("tracestate"), Some("a=1"));

        let asked = scene
            .ask("/")
            .with("traceparent", "00-zz")
            .with("tracestate", "a=1");
        let seen = scene.seen(&mut wire, &asked).await;
        assert!(seen.header("traceparent").unwrap().starts_with("00-"));
        assert_eq!(seen.header("tracestate"), None);
        let first = seen.header("x-request-id").unwrap().to_owned();
        let seen = scene.seen(&mut wire, &scene.ask("/")).await;
        assert_ne!(seen.header("x-request-id"), Some(first.as_str()));
    }
}

#[tokio::test]
async fn the_app_sees_the_host_that_its_route_says() {
    let app = upstream::echo().run();
    let upstream_host = "allow = \"signed-in\"\n[upstream]\nhost = \"upstream\"";
    let literal = "allow = \"signed-in\"\n[upstream]\nhost = \"inner.example:81\"";
    let front = front(|it| {
        it.route("wiki", HOST, upstream_host, &app)
            .route("shop", SHOP, literal, &app)
    });
    let scene = Scene {
        session: front.session(HOST).await,
        front,
        app,
    };
    let seen = scene
        .seen(&mut scene.wire(Protocol::Http2), &scene.ask("/"))
        .await;
    let address = scene.app.address().to_string();
    assert_eq!(seen.header("host"), Some(address.as_str()));
    let public = scene.front.vestibule.authority(HOST);
    assert_eq!(seen.header("x-forwarded-host"), Some(public.as_str()));

    let session = scene.front.session(SHOP).await;
    let mut wire = scene.front.wire(Protocol::Http1, SHOP);
    let asked = ask("GET", "/").with("Cookie", &session);
    let seen = scene.seen(&mut wire, &asked).await;
    assert_eq!(seen.header("host"), Some("inner.example:81"));
}
