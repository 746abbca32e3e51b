//! Heads that are refused before they are requests.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use vestibule::config::listener::Limits;

use super::{PARKED, Tiny, ask, assert_over, get, hear, patient, say};
use crate::support::{
    front::{HOST, wiki},
    upstream,
};

/// Heads with the status and the word of their refusal.
fn refused() -> Vec<(String, u16, &'static str)> {
    let fields = "X: 1\r\n".repeat(101);
    let text = |text: &str| format!("GET /bad HTTP/1.1\r\nHost: x\r\n{text}\r\n");
    vec![
        (
            text("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            400,
            "ambiguous_length",
        ),
        (
            text("Content-Length: 3\r\nContent-Length: 3\r\n"),
            400,
            "ambiguous_length",
        ),
        (
            "GET /bad HTTP/1.1\nHost: x\n\n".to_owned(),
            400,
            "ambiguous_line_end",
        ),
        (text("X : 1\r\n"), 400, "malformed_field"),
        (text(&fields), 431, "too_many_fields"),
        (
            text(&format!("X: {}\r\n", "x".repeat(32 * 1024))),
            431,
            "head_too_large",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8 * 1024)),
            414,
            "target_too_long",
        ),
    ]
}

#[tokio::test]
async fn what_came_before_a_refused_head_is_answered_first() {
    // S-258
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        for (head, status, reason) in refused() {
            for before in 0..3 {
                let mut stream = tiny.connect().await;
                let good: String = (0..before).map(|it| get(&format!("/{it}"))).collect();
                let behind = get("/behind");
                say(&mut stream, &format!("{good}{head}{behind}")).await;
                for number in 0..before {
                    assert_eq!(hear(&mut stream).await.body, format!("/{number}"));
                }
                let answer = hear(&mut stream).await;
                assert_eq!((answer.status(), &*answer.body), (status, reason), "{head}");
                assert!(answer.says("connection: close"), "{answer:?}");
                assert_over(&mut stream).await;
            }
            // The first thing that a parked connection hears.
            let mut stream = tiny.connect().await;
            ask(&mut stream, "/good").await;
            tokio::time::sleep(PARKED).await;
            say(&mut stream, &head).await;
            assert_eq!(hear(&mut stream).await.body, reason);
            assert_over(&mut stream).await;
        }
        let asked = tiny.asked();
        let behind = |it: &String| it.contains("bad") || it.contains("behind");
        assert!(!asked.iter().any(behind), "{asked:?}");
    }
}

#[tokio::test]
async fn an_answer_under_way_comes_to_its_end_before_the_refusal() {
    let tiny = Tiny::tls(patient()).await;
    let mut stream = tiny.connect().await;
    say(
        &mut stream,
        &format!("{}GET /bad HTTP/1.1\n\n", get("/wait")),
    )
    .await;
    tokio::time::sleep(PARKED).await;
    tiny.go.notify_one();
    assert_eq!(hear(&mut stream).await.body, "waited");
    assert_eq!(hear(&mut stream).await.status(), 400);
    assert_over(&mut stream).await;
}

#[tokio::test]
async fn half_a_head_is_kept_over_the_moment_of_parking() {
    // The first half comes in the record of the request before, or while the connection is parked.
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        let second = get("/second");
        for at in [1, 3, 15, second.len() - 1] {
            let (half, rest) = second.split_at(at);
            say(&mut stream, &format!("{}{half}", get("/first"))).await;
            assert_eq!(hear(&mut stream).await.body, "/first");
            tokio::time::sleep(PARKED).await;
            say(&mut stream, &format!("{rest}{half}")).await;
            assert_eq!(hear(&mut stream).await.body, "/second");
            for pause in [200, 250, 300] {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                say(&mut stream, &format!("{rest}{half}")).await;
                assert_eq!(hear(&mut stream).await.body, "/second");
            }
            say(&mut stream, rest).await;
            assert_eq!(hear(&mut stream).await.body, "/second");
        }
    }
}

#[tokio::test]
async fn a_head_that_waits_behind_an_answer_has_its_time_too() {
    // S-254
    let limits = Limits {
        head_timeout: Duration::from_millis(300),
        ..patient()
    };
    let tiny = Tiny::tls(limits).await;
    let mut stream = tiny.connect().await;
    say(&mut stream, &format!("{}GET /half", get("/first"))).await;
    assert_eq!(hear(&mut stream).await.body, "/first");
    assert_eq!(hear(&mut stream).await.status(), 408);
    assert_over(&mut stream).await;
}

#[tokio::test]
async fn whoever_is_answered_in_the_middle_of_a_body_is_told_that_it_was_the_last() {
    // S-090, S-256
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
            let mut stream = tiny.connect().await;
            let head = format!("POST /refused HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n");
            say(&mut stream, &head).await;
            let answer = hear(&mut stream).await;
            assert!(answer.says("connection: close"), "{answer:?}");
            assert_over(&mut stream).await;
            let _ = stream.write_all(b"GET /admin HTTP/1.1\r\n\r\n").await;
        }
        // One byte behind a whole body is another request's, and changes nothing.
        let mut stream = tiny.connect().await;
        let head = "POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        say(&mut stream, &format!("{head}hello")).await;
        let answer = hear(&mut stream).await;
        assert!(!answer.says("connection: close"), "{answer:?}");
        ask(&mut stream, "/next").await;
    }
}

#[tokio::test]
async fn a_refused_head_is_a_problem_with_the_headers_of_every_answer() {
    // S-258
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    for (head, status, reason) in refused() {
        let said = front.vestibule.raw(HOST).say(&head).await;
        assert!(said.closed, "{head}");
        assert_eq!(said.statuses(), [status], "{head}");
        let text = said.text().to_ascii_lowercase();
        for field in [
            "content-type: application/problem+json\r\n",
            "cache-control: no-store\r\n",
            "x-content-type-options: nosniff\r\n",
            "strict-transport-security: max-age=",
            "connection: close\r\n",
        ] {
            assert!(text.contains(field), "{field} in {text}");
        }
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["reason"], reason);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"].as_str().unwrap().len(), 32);
        let sample = format!("vestibule_refusals_total{{reason=\"{reason}\"}}");
        assert!(front.metric(&sample) > 0, "{sample}");
    }
    app.assert_silent().await;
}
