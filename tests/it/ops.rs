//! What operators see: the listener for probes and metrics, and the line that every request leaves.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use vestibule::clock::{Clock, ManualClock};

use crate::support::{
    client::Answer,
    front::{Front, HOST, SESSION_COOKIE, front, wiki},
    issuer::{self, CLIENT_SECRET, field, person},
    process,
    upstream::{self, Echo},
    vestibule as files,
    wire::{PROTOCOLS, ask},
};

const LISTEN: &str = "[ops]\nlisten = \"127.0.0.1:0\"";

fn watched() -> (Front, Echo) {
    let app = upstream::echo().run();
    let front = front(|it| {
        let wiki = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";
        let closed = "[allow]\nroles = [\"Clerk\"]";
        it.main(LISTEN).route("wiki", HOST, wiki, &app).route(
            "closed",
            &format!("{HOST}/closed"),
            closed,
            &app,
        )
    });
    (front, app)
}

async fn asked(front: &Front, method: &str, path: &str) -> Answer {
    let url = format!("http://{}{path}", front.vestibule.ops().unwrap());
    let request = Request::builder().method(method).uri(url);
    let request = request.body(Bytes::new()).unwrap();
    front.vestibule.browser().send(request).await
}

#[tokio::test]
async fn probes_are_answered_on_an_address_of_their_own() {
    let (front, app) = watched();
    front.provider_is_known(HOST).await;
    let live = asked(&front, "GET", "/livez").await;
    assert_eq!((live.status.as_u16(), live.text()), (200, "ok\n"));
    let ready = asked(&front, "GET", "/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(
        ready.json(),
        serde_json::json!({
            "ready": true,
            "sessions": 0,
            "providers": [{"name": "entra", "ready": true}],
        })
    );
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/livez/", 404),
        ("GET", "/pub", 404),
        ("GET", "/.vestibule/me", 404),
        ("POST", "/livez", 405),
        ("DELETE", "/metrics", 405),
        ("HEAD", "/livez", 200),
    ] {
        let answer = asked(&front, method, path).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn probes_are_nothing_on_the_front_door() {
    // S-028
    let (front, app) = watched();
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(wire.get(path).await.status, 401, "{path}");
        }
    }
    app.assert_silent().await;
    assert_eq!(wiki(&app, "").vestibule.ops(), None, "off unless written");
}

#[tokio::test]
async fn a_provider_that_is_down_changes_nothing_about_readiness() {
    let app = upstream::echo().run();
    let front = front(|it| {
        it.main(LISTEN)
            .route("wiki", HOST, "allow = \"signed-in\"", &app)
    });
    let session = front.session(HOST).await;
    assert_eq!(front.vestibule.sessions().live(), 1);
    front.idp.go_down().await;
    let ready = asked(&front, "GET", "/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["sessions"]),
        (200, &1.into())
    );
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/").with("Cookie", &session);
        assert_eq!(front.wire(protocol, HOST).ask(&asked).await.status, 200);
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_decision_and_refusals_by_reason() {
    let (front, _app) = watched();
    let session = front.session(HOST).await;
    let sample = |route: &str, decision: &str| {
        format!("vestibule_requests_total{{route=\"{route}\",decision=\"{decision}\"}}")
    };
    let count = |route: &str, decision: &str| front.metric(&sample(route, decision));
    let own_before = count("wiki", "own");
    let refused_before = count("wiki", "refuse");
    // A sign-in that came before the provider was known.
    let unavailable_before = count("wiki", "unavailable");
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (method, target, with_session) in [
            ("GET", "/", true),
            ("GET", "/pub", true),
            ("GET", "/closed", true),
            ("GET", "/", false),
            ("GET", "/closed", false),
            ("GET", "/.vestibule/me", true),
            ("GET", "/%zz", true),
            ("TRACE", "/", true),
        ] {
            let cookie = if with_session { &*session } else { "a=b" };
            wire.ask(&ask(method, target).with("Cookie", cookie)).await;
        }
        let unknown = front.vestibule.authority("evil.test");
        wire.ask(&ask("GET", "/").at(&unknown)).await;
    }
    for (route, decision, counted) in [
        ("wiki", "allow", 2),
        ("wiki", "public", 2),
        ("closed", "forbid", 2),
        ("closed", "login", 2),
        ("closed", "allow", 0),
        ("wiki", "unavailable", unavailable_before),
    ] {
        assert_eq!(count(route, decision), counted, "{route} {decision}");
    }
    assert_eq!(count("wiki", "own") - own_before, 2);
    assert_eq!(
        count("wiki", "refuse") - refused_before,
        2,
        "said in the name of the host where the host is known"
    );
    for (reason, counted) in [
        ("malformed_target", 2),
        ("method_refused", 2),
        ("unknown_host", 2),
    ] {
        let sample = format!("vestibule_refusals_total{{reason=\"{reason}\"}}");
        assert_eq!(front.metric(&sample), counted, "{reason}");
    }
    let text = asked(&front, "GET", "/metrics").await;
    let kind = text.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.text().ends_with("# EOF\n"));
    assert!(
        text.text().contains("vestibule_sessions_live 1\n"),
        "{}",
        text.text()
    );
}

#[tokio::test]
async fn no_client_can_write_into_the_metrics() {
    // S-008, S-009
    let (front, _app) = watched();
    let session = front.session(HOST).await;
    let names = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    let mut wire = front.wire(PROTOCOLS[0], HOST);
    wire.get("/%zz").await;
    wire.ask(&ask("GET", "/").at("evil.test")).await;
    let before = names(&front.vestibule.metrics());
    for number in 0..30 {
        let target = format!("/p{number}?q{number}");
        let asked = ask(&format!("M{number}"), &target).with("User-Agent", &format!("u{number}"));
        wire.ask(&asked).await;
        let host = format!("h{number}.example");
        wire.ask(&ask("GET", "/%00").at(&host)).await;
        wire.ask(&ask("GET", "/").at(&host)).await;
    }
    let text = front.vestibule.metrics();
    assert_eq!(names(&text), before);
    let (_, secret) = session.split_once('=').unwrap();
    for private in [
        secret,
        "ann@corp.example",
        &person("ann").object(),
        CLIENT_SECRET,
    ] {
        assert!(!text.contains(private), "{private}");
    }
}

/// Whole sign-in, three requests to the app, and the end, at the loudest log level.
struct Day {
    lines: Vec<Value>,
    printed: String,
    secrets: Vec<String>,
}

async fn a_day(form: &str) -> Day {
    // The program goes by the system's clock, and so must everybody it talks to.
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo().run();
    let built = files::at(&time)
        .route("wiki", HOST, "allow = \"signed-in\"", &app)
        .entra(&idp)
        .main(&format!("[log]\naccess = \"{form}\""))
        .variable("RUST_LOG", "trace");
    let process = process::serve(built).await;
    let url = |path: &str| process.built().url(HOST, path);
    let mut browser = process.built().browser();
    let mut signed_in = false;
    for _ in 0..1000 {
        let trail = browser.follow(&url("/first?code=of-the-app"), 5).await;
        signed_in = trail[trail.len() - 1].status == 200;
        if signed_in {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(signed_in, "the sign-in works");
    let session = browser.cookie(&url("/"), SESSION_COOKIE).unwrap();
    browser.get(&url("/second?token=of-the-app")).await;
    let mut browser = browser.http2();
    browser
        .post(&url("/third"), &[("password", "of-the-person")])
        .await;
    browser.forget(SESSION_COOKIE);
    browser.get(&url("/fourth?x=1")).await;
    let output = process.terminate().await;
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let mut secrets = vec![
        session,
        CLIENT_SECRET.to_owned(),
        "of-the-app".to_owned(),
        "of-the-person".to_owned(),
    ];
    for asked in idp.authorization_requests() {
        for name in ["state", "nonce", "code_challenge"] {
            secrets.push(field(&asked, name).unwrap().to_owned());
        }
    }
    for asked in idp.token_requests() {
        for name in ["code", "code_verifier"] {
            secrets.push(field(&asked.form, name).unwrap().to_owned());
        }
        secrets.extend(asked.authorization);
    }
    Day {
        lines: stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        printed: stdout + &stderr,
        secrets,
    }
}

#[tokio::test]
async fn every_request_leaves_a_line_that_says_who_and_why() {
    let day = a_day("json").await;
    let of_path = |path: &str| -> Vec<&Value> {
        let lines = day.lines.iter();
        lines.filter(|line| line["path"] == path).collect()
    };
    for (path, protocol, decision, reason, status, user) in [
        (
            "/second",
            "h1",
            "allow",
            "session",
            200,
            Some("ann@corp.example"),
        ),
        (
            "/third",
            "h2",
            "allow",
            "session",
            200,
            Some("ann@corp.example"),
        ),
        ("/fourth", "h2", "login", "no_session", 401, None),
    ] {
        let lines = of_path(path);
        assert_eq!(lines.len(), 1, "{path}: {:?}", day.lines);
        let line = lines[0];
        for (name, value) in [
            ("protocol", protocol),
            ("decision", decision),
            ("reason", reason),
            ("route", "wiki"),
            ("peer", "127.0.0.1"),
        ] {
            assert_eq!(line[name], value, "{path} {name}");
        }
        assert_eq!(
            (&line["status"], &line["user"]),
            (&status.into(), &user.into())
        );
        assert_eq!(line["request_id"].as_str().unwrap().len(), 32);
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    let ids: BTreeSet<_> = day
        .lines
        .iter()
        .map(|it| it["request_id"].as_str())
        .collect();
    assert_eq!(
        ids.len(),
        day.lines.len(),
        "every request has an id of its own"
    );
    assert_eq!(of_path("/.vestibule/callback").len(), 1);
}

#[tokio::test]
async fn no_secret_is_printed_at_any_level_or_in_any_form() {
    // S-009
    for form in ["json", "text", "off"] {
        let day = a_day(form).await;
        assert_eq!(day.printed.contains("/second"), form != "off", "{form}");
        assert!(day.printed.contains("TRACE"), "the log is loud");
        for secret in &day.secrets {
            let lines: Vec<_> = day
                .printed
                .lines()
                .filter(|it| it.contains(secret))
                .collect();
            assert!(lines.is_empty(), "{form}: {secret} in {}", lines[0]);
        }
    }
}
