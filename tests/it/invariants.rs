//! The promises that every other test is an instance of, held against generated requests.

mod broken_store;
mod verdicts;

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Runtime, sync::Mutex};

use crate::support::{
    front::{Front, HOST, front, wiki},
    issuer::person,
    strict::{self, Strict},
    upstream,
    wire::{Ask, PROTOCOLS, Protocol, Wire, ask},
};

/// Runs `check` for generated values, with sockets.
fn for_all<T: std::fmt::Debug>(
    cases: u32,
    strategy: &impl Strategy<Value = T>,
    check: impl AsyncFn(T),
) {
    let runtime = runtime();
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let held = TestRunner::new(config).run(strategy, |value| {
        runtime.block_on(check(value));
        Ok(())
    });
    held.unwrap_or_else(|fault| panic!("{fault}"));
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A name with any separators in place of its hyphens, in any case.
fn spelled(name: &'static str) -> impl Strategy<Value = String> {
    vec((select(SEPARATORS), any::<bool>()), name.len()).prop_map(move |choices| {
        let bytes = name.chars().zip(choices);
        bytes
            .map(|(it, (separator, upper))| match it {
                '-' => separator,
                _ if upper => it.to_ascii_uppercase(),
                _ => it,
            })
            .collect()
    })
}

/// Every byte that may stand in a field name beside letters and digits.
const SEPARATORS: &[char] = &[
    '-', '_', '.', '!', '#', '$', '%', '&', '\'', '*', '+', '^', '`', '|', '~',
];

/// All identity headers that some route of these tests sets.
const IDENTITY: &[&str] = &[
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-groups",
    "x-remote-user",
    "employee",
];

/// A field that means to be one of ours, or another that comes along.
fn field() -> impl Strategy<Value = (String, String)> {
    let ours = prop_oneof![
        spelled("x-forwarded-user"),
        spelled("x-forwarded-email"),
        spelled("x-forwarded-preferred-username"),
        spelled("x-forwarded-groups"),
        spelled("x-remote-user"),
        spelled("employee"),
    ];
    let value = prop_oneof![
        "mallory",
        "ann@corp\\.example",
        "",
        "[ -~]{0,20}",
        "[\u{a0}-\u{ff}]{1,4}"
    ];
    let value = value.prop_map(|value| value.trim().to_owned());
    prop_oneof![
        4 => (ours, value.clone()),
        1 => ("x-app-[a-z]{1,5}", value),
        1 => (Just("Cookie".to_owned()), "[a-z]{1,3}=[a-z]{0,5}"),
        1 => (Just("TE".to_owned()), Just("trailers".to_owned())),
    ]
}

/// `Connection` lines, which only HTTP/1.1 knows.
fn connection_lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let token = prop_oneof![
        spelled("x-forwarded-user"),
        Just("Cookie".to_owned()),
        Just("keep-alive".to_owned()),
        Just(String::new()),
        Just("\tTraceparent\t".to_owned()),
    ];
    let line = vec(token, 0..4).prop_map(|tokens| tokens.join(","));
    vec(line, 0..2).prop_map(|lines| {
        let lines = lines.into_iter();
        lines.map(|line| ("Connection".to_owned(), line)).collect()
    })
}

/// What an app could take for an identity header, folded, with all its values.
fn identity_in(headers: &[(String, String)]) -> Vec<(String, String)> {
    let folded = |name: &str| {
        let bytes = name.to_ascii_lowercase();
        bytes.replace(|it: char| !it.is_ascii_alphanumeric(), "_")
    };
    let known: Vec<_> = IDENTITY.iter().map(|name| folded(name)).collect();
    let mut found: Vec<_> = headers
        .iter()
        .map(|(name, value)| (folded(name), value.clone()))
        .filter(|(name, _)| known.contains(name))
        .collect();
    found.sort();
    found
}

/// Two routes of one host with different headers, and a public part.
fn two_routes(app: &Strict) -> Front {
    let plain = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"";
    let own = "allow = \"signed-in\"\n[identity.headers]\nX-Remote-User = \"{user}\"\n\
               EMPLOYEE = \"{name}\"";
    front(|it| {
        it.route("plain", HOST, plain, app)
            .route("own", &format!("{HOST}/own"), own, app)
    })
}

#[test]
fn identity_reaches_the_app_from_the_session_alone() {
    // S-001, S-010, S-012, S-013, S-017, S-020, S-031
    let app = strict::strict();
    let runtime = runtime();
    let front = two_routes(&app);
    let session = runtime.block_on(front.session(HOST));
    app.take();
    let name = person("ann").name();
    let expected = |pairs: &[(&str, &str)]| -> Vec<_> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let ann = "ann@corp.example";
    let targets = [
        (
            "/",
            expected(&[
                ("x_forwarded_preferred_username", ann),
                ("x_forwarded_user", ann),
            ]),
        ),
        (
            "/own/x",
            expected(&[("employee", &name), ("x_remote_user", ann)]),
        ),
        ("/pub/x", Vec::new()),
    ];
    for protocol in PROTOCOLS {
        let wire = Mutex::new(front.wire(protocol, HOST));
        let soup = (
            vec(field(), 0..60),
            connection_lines(),
            select(targets.to_vec()),
        );
        for_all(1000, &soup, async |(fields, connection, (target, ours))| {
            let mut asked = ask("GET", target)
                .with("Cookie", &session)
                .with_all(&fields);
            if protocol == Protocol::Http1 {
                asked = asked.with_all(&connection);
            }
            let mut wire = wire.lock().await;
            // The connection belongs to the runtime of this run.
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let read = app.take();
            assert_eq!(read.len(), 1, "{read:?}");
            assert_eq!(identity_in(&read[0].headers), ours);
        });
    }
}

/// Paths of every kind that is not refused outright.
fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,6}",
        select(
            &[
                "%2e", "%2F", "%5c", "%25", "%20", "%C3%A4", "%23", "%3f", "..", ".", "//", "pub",
                "own"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    let path = vec(piece, 0..6).prop_map(|pieces| format!("/{}", pieces.join("/")));
    let query = proptest::option::of("[a-zA-Z0-9/?%&=;:@.!~*'(),+$-]{0,20}");
    (path, query).prop_map(|(path, query)| match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
}

/// Requests with and without bodies, of which each protocol may say where they end.
fn request() -> impl Strategy<Value = Ask> {
    let method = select(
        &[
            "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO",
        ][..],
    );
    let body = proptest::option::of((vec(any::<u8>(), 0..3000), any::<bool>()));
    (method, target(), vec(field(), 0..10), body).prop_map(|(method, target, fields, body)| {
        let asked = ask(method, &target).with_all(&fields);
        match body {
            None => asked,
            Some((bytes, true)) => asked.body(bytes),
            Some((bytes, false)) => asked.chunked(bytes, &[("x-forwarded-user", "mallory")]),
        }
    })
}

#[test]
fn a_strict_parser_reads_exactly_what_was_decided_about() {
    // S-003, S-004, S-010, S-211, S-221
    let app = strict::strict();
    let runtime = runtime();
    let front = two_routes(&app);
    let session = runtime.block_on(front.session(HOST));
    app.take();
    for protocol in PROTOCOLS {
        let wire = Mutex::new(front.wire(protocol, HOST));
        for_all(700, &request(), async |asked| {
            let asked = asked.with("Cookie", &session);
            let mut wire = wire.lock().await;
            let reply = wire.ask(&asked).await;
            let read = app.take();
            if asked.target().starts_with("/.vestibule/") {
                assert_eq!(read, []);
                return;
            }
            let reads = ["GET", "HEAD", "OPTIONS"].contains(&asked.method());
            if reply.status == 400 && reads && !asked.payload_bytes().is_empty() {
                // A body where nobody expects one is refused where nobody has to sign in.
                assert_eq!(read, []);
                return;
            }
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(read.len(), 1, "{read:?}");
            let read = &read[0];
            assert_eq!(read.method, asked.method());
            assert_eq!(read.target, asked.target());
            assert_eq!(read.body, asked.payload_bytes());
            for (name, value) in asked
                .fields()
                .filter(|(name, _)| name.starts_with("x-app-"))
            {
                assert!(read.all(name).contains(&value), "{name}: {value}");
            }
            let (host, authority) = (read.all("host"), front.vestibule.authority(HOST));
            assert_eq!(host, [authority.as_str()]);
        });
    }
}

#[test]
fn without_a_session_no_app_hears_of_a_request() {
    // S-002, S-010, S-036, S-037: everything that is not plain counts as protected.
    let app = upstream::raw().run();
    let runtime = runtime();
    let front = wiki(&app, "[[public]]\npath = \"/pub/open\"");
    runtime.block_on(front.provider_is_known(HOST));
    for protocol in PROTOCOLS {
        let wire: Mutex<Wire> = Mutex::new(front.wire(protocol, HOST));
        for_all(500, &request(), async |asked| {
            if asked.target().split('?').next() == Some("/pub/open") {
                return;
            }
            let cookie = format!("__Host-vestibule={}", "A".repeat(43));
            let asked = asked.with("Cookie", &cookie);
            let mut wire = wire.lock().await;
            let reply = wire.ask(&asked).await;
            assert!([401, 404, 405].contains(&reply.status), "{}", reply.status);
        });
    }
    runtime.block_on(app.assert_silent());
}

#[tokio::test]
async fn no_kind_of_request_without_a_session_reaches_the_app() {
    // S-002, S-020, S-239, S-243
    let app = upstream::raw().run();
    let front = wiki(&app, "");
    front.provider_is_known(HOST).await;
    let upgrade = |it: Ask| {
        it.with("Connection", "Upgrade")
            .with("Upgrade", "websocket")
    };
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        let mut asks = vec![
            (ask("GET", "/").with("Accept", "text/html"), 302),
            (ask("GET", "/").with("Accept", "application/json"), 401),
            (
                ask("GET", "/")
                    .with("Accept", "text/html")
                    .with("X-Requested-With", "x"),
                401,
            ),
            (
                ask("GET", "/")
                    .with("Accept", "text/html")
                    .with("Sec-Fetch-Mode", "cors"),
                401,
            ),
            (ask("GET", "/").with("Accept", "text/event-stream"), 401),
            (ask("HEAD", "/"), 401),
            (ask("POST", "/").body("a=b"), 401),
            (
                ask("POST", "/")
                    .with("Accept", "text/html")
                    .chunked("a=b", &[]),
                401,
            ),
            (
                ask("OPTIONS", "/").with("Access-Control-Request-Method", "GET"),
                401,
            ),
            (ask("PROPFIND", "/"), 401),
            (
                ask("GET", "/").body("GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"),
                401,
            ),
            (
                ask("POST", "/")
                    .with("Content-Type", "application/grpc")
                    .body("x"),
                401,
            ),
        ];
        if protocol == Protocol::Http1 {
            asks.push((
                upgrade(ask("GET", "/ws").with("Sec-WebSocket-Version", "13")),
                401,
            ));
            asks.push((
                ask("POST", "/").with("Expect", "100-continue").body("a=b"),
                401,
            ));
        }
        for (asked, status) in asks {
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status, status, "{asked:?}");
            if status == 401 {
                // S-243: no cookie, no redirect, nothing that makes a browser ask for a password.
                for name in ["set-cookie", "location", "www-authenticate"] {
                    assert_eq!(reply.header(name), None, "{name} {asked:?}");
                }
            }
        }
    }
    app.assert_silent().await;
}
