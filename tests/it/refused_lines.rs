//! What is told of a request that is refused for what it is: its line, its count, its problem or page.

use serde_json::{Value, json};

use crate::support::{
    eventually,
    front::{Front, HOST, front},
    lines::Lines,
    upstream,
    wire::{Ask, PROTOCOLS, Protocol, Reply, ask},
};

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"";
const HEAD_BYTES: usize = 32 * 1024;
/// What h2 is told to take beyond that.
const ON_TOP: usize = 8 * 1024;

struct Scene {
    front: Front,
    lines: Lines,
    app: upstream::Echo,
}

fn scene() -> Scene {
    let (app, lines) = (upstream::echo().run(), Lines::default());
    let front = front(|it| it.route("wiki", HOST, RULES, &app).telling(&lines));
    Scene { front, lines, app }
}

impl Scene {
    async fn asked(&self, protocol: Protocol, ask: &Ask) -> Reply {
        self.front.wire(protocol, HOST).ask(ask).await
    }

    fn refusals(&self, reason: &str) -> u64 {
        let sample = format!("vestibule_refusals_total{{reason=\"{reason}\"}}");
        self.front.metric(&sample)
    }
}

fn problem(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// Asserts some members of a line.
fn says(line: &Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
}

#[tokio::test]
async fn what_is_too_long_or_too_large_is_named_with_the_limit() {
    // S-258, S-322
    let path = format!("/pub/{}", "a".repeat(9 * 1024));
    let cut = &path[..128];
    let fields: Vec<_> = (0..101)
        .map(|it| (format!("x-{it}"), "x".to_owned()))
        .collect();
    for protocol in PROTOCOLS {
        for (ask, named, status, reason, key) in [
            (
                ask("GET", &path),
                cut,
                414,
                "target_too_long",
                "target_bytes",
            ),
            (
                ask("PUT", "/pub/large?code=secret").with("x", &"x".repeat(HEAD_BYTES)),
                "/pub/large",
                431,
                "head_too_large",
                "head_bytes",
            ),
            (
                ask("POST", "/pub/many").with_all(&fields),
                "/pub/many",
                431,
                "too_many_fields",
                "headers",
            ),
        ] {
            let scene = scene();
            let reply = scene.asked(protocol, &ask).await;
            assert_eq!((reply.status, &*reply.reason()), (status, reason));
            let detail = problem(&reply)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&format!("[limits] {key} ")), "{detail}");
            let line = scene.lines.only(named).await;
            says(
                &line,
                &json!({
                    "method": ask.method(), "decision": "refuse", "reason": reason,
                    "status": status, "ended": "whole", "bytes": reply.body.len(), "route": null,
                }),
            );
            assert_eq!(scene.refusals(reason), 1, "{protocol:?}");
            scene.app.assert_silent().await;
        }
    }
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_not_quoted() {
    // S-321
    let scene = scene();
    let raw = scene.front.vestibule.raw(HOST);
    let said = raw
        .say("GET /pub/x HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\n")
        .await;
    assert_eq!(said.statuses(), [400]);
    let line = scene.lines.only("-").await;
    says(
        &line,
        &json!({ "method": "-", "host": HOST, "reason": "malformed_field" }),
    );
}

/// A GET over HTTP/2 whose field list has this size (RFC 9113 6.5.2).
fn of_size(scene: &Scene, size: usize) -> Ask {
    let path = "/pub/list";
    let authority = scene.front.vestibule.authority(HOST);
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &authority),
        (":path", path),
        ("x", ""),
    ];
    let least: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    ask("GET", path).with("x", &"x".repeat(size - least))
}

#[tokio::test]
async fn a_field_list_over_http2_is_refused_by_us_and_far_beyond_the_limit_by_h2() {
    // S-258
    let scene = scene();
    let at = async |size| {
        let ask = of_size(&scene, size);
        scene.asked(Protocol::Http2, &ask).await
    };
    let whole = at(HEAD_BYTES).await;
    assert_eq!(whole.status, 200);
    for (size, refused) in [(HEAD_BYTES + 1, 1), (HEAD_BYTES + ON_TOP, 2)] {
        let reply = at(size).await;
        assert_eq!((reply.status, &*reply.reason()), (431, "head_too_large"));
        assert_eq!(scene.refusals("head_too_large"), refused);
    }
    let beyond = at(HEAD_BYTES + ON_TOP + 1).await;
    assert_eq!((beyond.status, beyond.body.len()), (431, 0));
    assert_eq!(scene.refusals("head_too_large"), 2, "nobody is told");
    eventually("their lines", || scene.lines.of("/pub/list").len() == 3).await;
}

#[tokio::test]
async fn a_browser_that_asks_too_much_over_http2_sees_a_page() {
    let scene = scene();
    let large = ("x", "x".repeat(HEAD_BYTES));
    let long = format!("/{}", "a".repeat(9 * 1024));
    for (ask, status) in [
        (ask("GET", "/").with(large.0, &large.1), 431),
        (ask("GET", &long), 414),
    ] {
        let ask = ask.with("accept", "text/html");
        let reply = scene.asked(Protocol::Http2, &ask).await;
        assert_eq!(reply.status, status);
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(reply.text().contains("<h1"), "{}", reply.text());
        let script = ask.with("x-requested-with", "XMLHttpRequest");
        let reply = scene.asked(Protocol::Http2, &script).await;
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
    let head = ask("HEAD", "/").with(large.0, &large.1);
    let reply = scene.asked(Protocol::Http2, &head).await;
    assert_eq!((reply.status, reply.body.len()), (431, 0));
    assert_ne!(reply.header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_malformed_chunk_is_called_so() {
    // S-322
    let scene = scene();
    let authority = scene.front.vestibule.authority(HOST);
    let text = format!(
        "POST /pub/chunk HTTP/1.1\r\nHost: {authority}\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nab\r\nzz\r\n"
    );
    let said = scene.front.vestibule.raw(HOST).say(text).await;
    assert_eq!(said.statuses(), [400], "{}", said.text());
    assert!(
        said.text().contains("\"malformed_chunk\""),
        "{}",
        said.text()
    );
    let line = scene.lines.only("/pub/chunk").await;
    says(
        &line,
        &json!({ "decision": "refuse", "reason": "malformed_chunk", "status": 400 }),
    );
    assert_eq!(scene.refusals("malformed_chunk"), 1);
    assert_eq!(scene.app.requests().len(), 0);
}

#[tokio::test]
async fn what_can_be_named_is_counted_from_zero() {
    let scene = scene();
    let text = scene.front.vestibule.metrics();
    for sample in [
        "vestibule_requests_total{route=\"wiki\",decision=\"left\"}",
        "vestibule_refusals_total{reason=\"target_too_long\"}",
        "vestibule_refusals_total{reason=\"unknown_endpoint\"}",
        "vestibule_refusals_total{reason=\"body_too_large\"}",
        "vestibule_refusals_total{reason=\"two_hosts\"}",
        "vestibule_refusals_total{reason=\"length_mismatch\"}",
        "vestibule_answers_cut_total{route=\"wiki\",reason=\"client_left\"}",
        "vestibule_answers_cut_total{route=\"wiki\",reason=\"session_over\"}",
        "vestibule_upstream_failures_total{route=\"wiki\",reason=\"upstream_timeout\"}",
        "vestibule_upstream_failures_total{route=\"wiki\",reason=\"upstream_body_timeout\"}",
        "vestibule_connections_cut_total{reason=\"flood_ping\"}",
        "vestibule_connections_cut_total{reason=\"head_timeout\"}",
    ] {
        assert!(
            text.contains(&format!("{sample} 0\n")),
            "{sample} in {text}"
        );
    }
}

#[tokio::test]
async fn open_connections_are_counted() {
    let scene = scene();
    let open = || {
        scene
            .front
            .metric("vestibule_connections_open{listener=\"https\"}")
    };
    let raw = scene.front.vestibule.raw(HOST);
    let (one, two) = (raw.connect().await.unwrap(), raw.connect().await.unwrap());
    eventually("two", || open() == 2).await;
    drop(one);
    eventually("one", || open() == 1).await;
    drop(two);
    eventually("none", || open() == 0).await;
}
