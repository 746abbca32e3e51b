//! What the app is told, and what a client cannot make it believe: identity headers, the headers of
//! a front, cookies, trailers.

mod answers;
mod claims;
mod cookies;
mod forwarded;

use http::Response;
use http_body_util::Full;

use crate::support::{
    front::{Front, HOST, front},
    issuer::person,
    upstream::{self, Echo, Seen},
    wire::{Ask, PROTOCOLS, Protocol, Reply, Wire, ask},
};

/// Every byte that may stand in a field name beside letters and digits (RFC 9110 5.6.2).
const SEPARATORS: &str = "-_.!#$%&'*+^`|~";

/// The second host of these tests: its route configures the headers.
const SHOP: &str = "shop.example";

/// Two routes: one with the default headers and public parts, one with headers of its own.
struct Scene {
    front: Front,
    app: Echo,
    session: String,
}

async fn scene() -> Scene {
    let app = upstream::echo().run();
    let front = front(|it| {
        let wiki = "allow = \"signed-in\"\n\
                    [[public]]\npath = \"/pub/*\"\n[[public]]\npath = \"/health\"\n";
        let shop = "allow = \"signed-in\"\n[identity.headers]\n\
                    x-VESTIBULE-user = \"{user}\"\nX-Remote-Mail = \"{email}\"\n";
        it.route("wiki", HOST, wiki, &app)
            .route("shop", SHOP, shop, &app)
    });
    let session = front.session(HOST).await;
    Scene {
        front,
        app,
        session,
    }
}

impl Scene {
    fn wire(&self, protocol: Protocol) -> Wire {
        self.front.wire(protocol, HOST)
    }

    /// A GET of somebody who is signed in.
    fn ask(&self, target: &str) -> Ask {
        ask("GET", target).with("Cookie", &self.session)
    }

    /// What the app saw of a request that it answered.
    async fn seen(&self, wire: &mut Wire, ask: &Ask) -> Seen {
        let before = self.app.requests().len();
        let reply = wire.ask(ask).await;
        assert_eq!(reply.status, 200, "{ask:?}: {}", reply.text());
        let requests = self.app.requests();
        assert_eq!(requests.len(), before + 1, "{ask:?}");
        requests[before].clone()
    }
}

/// Every value of the fields that an app would take for `name`, whatever their spelling.
fn taken_for<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    let fields = seen.headers.iter();
    let alike = fields.filter(|(it, _)| skeleton(it) == skeleton(name));
    alike.map(|(_, value)| value.as_str()).collect()
}

fn skeleton(name: &str) -> String {
    let bytes = name.bytes();
    bytes
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' => char::from(byte),
            b'A'..=b'Z' => char::from(byte.to_ascii_lowercase()),
            _ => '_',
        })
        .collect()
}

const ANN: &str = "ann@corp.example";

#[tokio::test]
async fn no_separator_and_no_case_gets_an_identity_header_through() {
    // S-012, S-013, S-031
    let scene = scene().await;
    let shop_session = scene.front.session(SHOP).await;
    for protocol in PROTOCOLS {
        let mut wiki = scene.wire(protocol);
        let mut shop = scene.front.wire(protocol, SHOP);
        for separator in SEPARATORS.chars() {
            let mut soup = Vec::new();
            for name in ["x-forwarded-user", "x-vestibule-user", "x-remote-mail"] {
                let name = name.replace('-', &separator.to_string());
                for spelled in [
                    name.clone(),
                    name.to_uppercase(),
                    name.replace("user", "User"),
                    name.replacen('x', "X", 1),
                    name.replace("forwarded", "fOrWaRdEd"),
                ] {
                    soup.push((spelled, "mallory".to_owned()));
                }
            }
            let asked = scene.ask("/").with_all(&soup);
            let seen = scene.seen(&mut wiki, &asked).await;
            assert_eq!(taken_for(&seen, "x-forwarded-user"), [ANN], "{separator}");
            // What another route's app believes is taken from this one's requests too.
            assert!(taken_for(&seen, "x-vestibule-user").is_empty());
            assert!(taken_for(&seen, "x-remote-mail").is_empty());

            let asked = ask("GET", "/")
                .with("Cookie", &shop_session)
                .with_all(&soup);
            let seen = scene.seen(&mut shop, &asked).await;
            assert_eq!(taken_for(&seen, "x-vestibule-user"), [ANN], "{separator}");
            assert!(taken_for(&seen, "x-forwarded-user").is_empty());
            assert!(taken_for(&seen, "x-remote-mail").is_empty(), "no address");
        }
    }
}

#[tokio::test]
async fn two_values_of_a_client_are_as_good_as_none() {
    // S-031: before and after many other fields
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let mut asked = scene.ask("/").with("X-Forwarded-User", "mallory");
        for number in 0..90 {
            asked = asked.with(&format!("X-App-{number}"), "1");
        }
        asked = asked.with("X-Forwarded-User", "mallory");
        let seen = scene.seen(&mut wire, &asked).await;
        assert_eq!(taken_for(&seen, "x-forwarded-user"), [ANN]);
        assert_eq!(seen.header("x-app-89"), Some("1"));
    }
}

#[tokio::test]
async fn a_header_without_a_value_of_ours_is_absent() {
    // S-014: neither address nor groups are known of this person.
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let asked = scene
            .ask("/")
            .with("X-Forwarded-Email", "boss@corp.example")
            .with("X-Forwarded-Groups", "admin")
            .with("X_Forwarded_Roles", "admin");
        let seen = scene.seen(&mut scene.wire(protocol), &asked).await;
        for name in [
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-roles",
        ] {
            assert!(taken_for(&seen, name).is_empty(), "{name}");
        }
        assert_eq!(taken_for(&seen, "x-forwarded-preferred-username"), [ANN]);
    }
}

#[tokio::test]
async fn an_app_behind_a_cgi_mapper_finds_our_value_alone() {
    // S-015: whether the mapper keeps the first value, the last, or joins them.
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let mut asked = scene
            .ask("/")
            .with("Proxy", "http://evil.test")
            .with("Content_Length", "5")
            .with("Transfer.Encoding", "chunked");
        for separator in SEPARATORS.chars() {
            let name = format!("X{separator}Forwarded{separator}User");
            asked = asked.with(&name, "mallory");
        }
        let seen = scene.seen(&mut wire, &asked).await;
        let mut table = std::collections::HashMap::<String, Vec<String>>::new();
        for (name, value) in &seen.headers {
            let variable = format!("HTTP_{}", skeleton(name).to_uppercase());
            table.entry(variable).or_default().push(value.clone());
        }
        assert_eq!(table["HTTP_X_FORWARDED_USER"], [ANN]);
        for absent in [
            "HTTP_PROXY",
            "HTTP_CONTENT_LENGTH",
            "HTTP_TRANSFER_ENCODING",
        ] {
            assert!(!table.contains_key(absent), "{absent}");
        }
    }
}

#[tokio::test]
async fn no_connection_field_takes_ours_away() {
    // S-016, S-017
    let scene = scene().await;
    let mut wire = scene.wire(Protocol::Http1);
    for lines in [
        &["close, X-Forwarded-User"][..],
        &["x-forwarded-user"],
        &["X-fOrWaRdEd-UsEr"],
        &["\tx-forwarded-user\t,\tX-Request-Id\t"],
        &["keep-alive", "X-Forwarded-User", "traceparent"],
        &[",,x-forwarded-user,"],
        &["X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host"],
        &["Authorization, X-Forwarded-Preferred-Username"],
        &["X-App"],
    ] {
        let mut asked = scene.ask("/").with("X-App", "kept?");
        for line in lines {
            asked = asked.with("Connection", line);
        }
        let seen = scene.seen(&mut wire, &asked).await;
        assert_eq!(taken_for(&seen, "x-forwarded-user"), [ANN], "{lines:?}");
        assert_eq!(taken_for(&seen, "x-forwarded-preferred-username"), [ANN]);
        assert_eq!(
            seen.header("x-forwarded-for"),
            Some("127.0.0.1"),
            "{lines:?}"
        );
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"), "{lines:?}");
        for ours in ["x-forwarded-host", "x-request-id", "traceparent", "host"] {
            assert!(seen.header(ours).is_some(), "{ours}: {lines:?}");
        }
        let names_app = lines.contains(&"X-App");
        assert_eq!(seen.header("x-app").is_none(), names_app);
    }
    // The session was read before; the app's cookies are for this hop then.
    let asked = scene.ask("/").with("Connection", "Cookie");
    assert_eq!(scene.seen(&mut wire, &asked).await.header("cookie"), None);
}

#[tokio::test]
async fn a_connection_field_that_changes_the_message_is_refused() {
    // S-016, S-018
    let scene = scene().await;
    let mut wire = scene.wire(Protocol::Http1);
    for (line, reason) in [
        ("Host", "connection_nominates"),
        ("close, hOST", "connection_nominates"),
        ("Content-Length", "connection_nominates"),
        ("transfer-encoding", "connection_nominates"),
        ("\u{ff}\u{fe}, close", "connection_malformed"),
        ("x forwarded user", "connection_malformed"),
        ("X-Forwarded-User\u{e9}", "connection_malformed"),
    ] {
        let reply = wire.ask(&scene.ask("/").with("Connection", line)).await;
        assert_eq!((reply.status, &*reply.reason()), (400, reason), "{line:?}");
    }
    scene.app.assert_silent().await;
    assert_eq!(scene.front.metric("vestibule_panics_total"), 0);
}

#[tokio::test]
async fn fields_of_the_hop_end_here() {
    // S-019
    let scene = scene().await;
    let of_the_hop = [
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers, deflate"),
        ("Trailer", "X-Forwarded-User"),
        ("Upgrade", "foo/1"),
        ("Proxy-Authorization", "Basic Zm9v"),
        ("Proxy-Authenticate", "Basic"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ];
    let mut wire = scene.wire(Protocol::Http1);
    let mut asked = scene.ask("/").with("Connection", "upgrade, http2-settings");
    for (name, value) in of_the_hop {
        asked = asked.with(name, value);
    }
    let seen = scene.seen(&mut wire, &asked).await;
    for (name, _) in of_the_hop {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("connection"), None);

    let mut wire = scene.wire(Protocol::Http2);
    let asked = scene
        .ask("/")
        .with("TE", "trailers")
        .with("Proxy-Authorization", "Basic Zm9v")
        .with("Trailer", "X-Forwarded-User");
    let seen = scene.seen(&mut wire, &asked).await;
    for name in ["te", "proxy-authorization", "trailer"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

/// A request that says it is from the boss, in three ways.
fn spoofing(asked: Ask) -> Ask {
    asked
        .with("X-Forwarded-User", "boss")
        .with("X_Forwarded_Email", "boss@corp.example")
        .with("X.Vestibule.User", "boss")
}

fn names_the_boss(seen: &Seen) -> bool {
    seen.headers.iter().any(|(_, value)| value.contains("boss"))
}

#[tokio::test]
async fn nothing_says_who_it_is_on_a_public_path() {
    // S-020: with and without a session
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND"] {
            for target in ["/pub/", "/pub/style.css?x=1", "/health"] {
                for asked in [
                    ask(method, target),
                    ask(method, target).with("Cookie", &scene.session),
                ] {
                    let seen = scene.seen(&mut wire, &spoofing(asked)).await;
                    assert!(!names_the_boss(&seen), "{method} {target}: {seen:?}");
                    for name in [
                        "x-forwarded-user",
                        "x-forwarded-preferred-username",
                        "cookie",
                    ] {
                        assert!(taken_for(&seen, name).is_empty(), "{name}");
                    }
                    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
                }
            }
        }
    }
}

#[tokio::test]
async fn every_branch_that_forwards_strips_first() {
    // S-020: preflight, upgrade attempt, expectation, forms
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let mut asks = vec![
            ask("OPTIONS", "/")
                .with("Origin", "https://evil.test")
                .with("Access-Control-Request-Method", "DELETE"),
            ask("POST", "/form").body("a=b"),
            ask("PUT", "/x").chunked("data", &[]),
            ask("PROPFIND", "/dav/"),
        ];
        if protocol == Protocol::Http1 {
            asks.push(
                ask("POST", "/x")
                    .with("Expect", "100-continue")
                    .body("data"),
            );
            asks.push(
                ask("GET", "/ws")
                    .with("Connection", "Upgrade")
                    .with("Upgrade", "foo"),
            );
        }
        for asked in asks {
            let asked = spoofing(asked.with("Cookie", &scene.session));
            let seen = scene.seen(&mut wire, &asked).await;
            assert_eq!(taken_for(&seen, "x-forwarded-user"), [ANN], "{asked:?}");
            assert!(!names_the_boss(&seen), "{seen:?}");
            for gone in ["expect", "upgrade", "cookie"] {
                assert_eq!(seen.header(gone), None, "{gone}");
            }
        }
    }
}

#[tokio::test]
async fn our_own_endpoints_believe_no_header_either() {
    // S-020
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        let me = wire.ask(&spoofing(scene.ask("/.vestibule/me"))).await;
        assert_eq!(me.status, 200);
        assert!(me.text().contains(ANN) && !me.text().contains("boss"));
        for (method, target, status) in [
            ("GET", "/.vestibule/me", 401),
            ("GET", "/.vestibule/callback?state=x&code=y", 400),
            ("GET", "/.vestibule/signed-out", 200),
            ("OPTIONS", "/.vestibule/me", 405),
            ("GET", "/.vestibule/nothing", 404),
        ] {
            let reply: Reply = wire.ask(&spoofing(ask(method, target))).await;
            assert_eq!(reply.status, status, "{method} {target}: {}", reply.text());
            assert!(!reply.text().contains("boss"));
        }
    }
    scene.app.assert_silent().await;
}

#[tokio::test]
async fn trailers_of_a_request_never_reach_the_app() {
    // S-021
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let trailers = [("x-forwarded-user", "boss"), ("x-app-trailer", "1")];
        let asked = ask("POST", "/")
            .with("Cookie", &scene.session)
            .with("TE", "trailers")
            .chunked("body", &trailers);
        let seen = scene.seen(&mut scene.wire(protocol), &asked).await;
        assert_eq!(&seen.body[..], b"body");
        assert!(seen.trailers.is_empty(), "{:?}", seen.trailers);
        assert_eq!(taken_for(&seen, "x-forwarded-user"), [ANN]);
    }
}

#[tokio::test]
async fn a_user_agent_is_no_health_check() {
    // S-028
    let scene = scene().await;
    for protocol in PROTOCOLS {
        let mut wire = scene.wire(protocol);
        for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
            for target in ["/", "/livez", "/healthz", "/ping"] {
                let reply = wire
                    .ask(&ask("GET", target).with("User-Agent", agent))
                    .await;
                assert_eq!((reply.status, &*reply.reason()), (401, "no_session"));
            }
        }
    }
    scene.app.assert_silent().await;
}

#[tokio::test]
async fn a_person_is_told_of_with_the_name_of_their_own_session() {
    // S-223: two people on one connection, and nobody in between
    let app = upstream::echo()
        .answering(|seen| {
            let user = seen.header("x-forwarded-user").unwrap_or("nobody");
            Response::new(Full::new(user.to_owned().into()))
        })
        .run();
    let front = front(|it| it.route("wiki", HOST, "allow = \"signed-in\"", &app));
    let ann = front.session(HOST).await;
    let bob = front.session_of(HOST, person("bob")).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..3 {
            let reply = wire.ask(&ask("GET", "/").with("Cookie", &ann)).await;
            assert_eq!(reply.text(), ANN);
            assert_eq!(wire.get("/").await.status, 401);
            let reply = wire.ask(&ask("GET", "/").with("Cookie", &bob)).await;
            assert_eq!(reply.text(), "bob@corp.example");
        }
    }
}
