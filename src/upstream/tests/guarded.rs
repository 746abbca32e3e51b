//! What the guard of an app's connection makes of its answers, and of the connection.

use std::sync::atomic::Ordering;

use super::support::{App, Front, GET, OK, Options, app, front, read_to_close, read_until, send};

const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

async fn pair() -> (App, Front) {
    let app = app().await;
    let front = front(app.port, Options::default()).await;
    (app, front)
}

/// Asks once more and is answered on a new connection, the one after `before`.
async fn assert_asked_elsewhere(app: &mut App, front: &Front, before: usize) {
    let mut client = front.begin(GET).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(&mut connection, OK).await;
    assert!(read_to_close(&mut client).await.ends_with("\r\n\r\nok"));
    assert_eq!(app.accepted.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn a_refused_answer_is_named_and_its_connection_is_never_used_again() {
    // S-225, S-233: hyper alone would take many of these, and call none by its name.
    for (fields, word) in [
        (
            "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            "ambiguous_length",
        ),
        ("Content-Length: 2 \r\n\r\nok", "ambiguous_length"),
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "ambiguous_length",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            "ambiguous_length",
        ),
        (
            "Transfer-Encoding: identity\r\n\r\nok",
            "unknown_transfer_coding",
        ),
        ("X: a\nSet-Cookie: b\r\n\r\n", "ambiguous_line_end"),
        ("X : a\r\n\r\n", "malformed_field"),
        ("X: a\r\n b\r\n\r\n", "malformed_field"),
        ("X: \0\r\n\r\n", "malformed_field"),
    ] {
        let (mut app, front) = pair().await;
        let mut client = front.begin(GET).await;
        let mut connection = app.connection().await;
        read_until(&mut connection, "\r\n\r\n").await;
        send(&mut connection, &format!("HTTP/1.1 200 OK\r\n{fields}")).await;
        let got = read_to_close(&mut client).await;
        assert!(got.starts_with("HTTP/1.1 502 "), "{fields:?}: {got}");
        assert!(got.ends_with("upstream_bad_answer"), "{fields:?}: {got}");
        assert!(
            got.contains(&format!("refused as {word}")),
            "{fields:?}: {got}"
        );
        assert_asked_elsewhere(&mut app, &front, 1).await;
    }
}

#[tokio::test]
async fn a_body_with_a_bad_chunk_is_broken_off_and_its_connection_closed() {
    // S-225, S-213
    for bad in [
        "0x2\r\nhi\r\n",
        "2 \r\nhi\r\n",
        "0\r\nContent-Length: 1\r\n\r\n",
        "0\n\n",
    ] {
        let (mut app, front) = pair().await;
        let mut client = front.begin(GET).await;
        let mut connection = app.connection().await;
        read_until(&mut connection, "\r\n\r\n").await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        send(&mut connection, &format!("{head}{bad}0\r\n\r\n")).await;
        let got = read_to_close(&mut client).await;
        assert!(got.starts_with("HTTP/1.1 200 "), "{bad:?}: {got}");
        assert!(!got.ends_with("0\r\n\r\n"), "{bad:?} looks whole: {got}");
        assert_eq!(
            read_until(&mut connection, "never").await,
            "",
            "{bad:?}: closed"
        );
        assert_asked_elsewhere(&mut app, &front, 1).await;
    }
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_and_the_next_one_has() {
    // S-225, S-096
    let (mut app, front) = pair().await;
    let mut connection = None;
    for (asked, answer, end) in [
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "\r\n\r\n",
        ),
        (GET, OK, "\r\n\r\nok"),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "\r\n\r\n",
        ),
        (GET, OK, "\r\n\r\nok"),
    ] {
        let mut client = front.begin(asked).await;
        if connection.is_none() {
            connection = Some(app.connection().await);
        }
        let connection = connection.as_mut().unwrap();
        read_until(connection, "\r\n\r\n").await;
        send(connection, answer).await;
        let got = read_to_close(&mut client).await;
        assert!(
            got.starts_with("HTTP/1.1 200 ") && got.ends_with(end),
            "{got}"
        );
    }
    assert_eq!(app.accepted.load(Ordering::SeqCst), 1);

    // With a body behind it, the rest is nobody's.
    let mut client = front.begin(HEAD).await;
    let connection = connection.as_mut().unwrap();
    read_until(connection, "\r\n\r\n").await;
    send(connection, OK).await;
    assert!(
        read_to_close(&mut client)
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert_asked_elsewhere(&mut app, &front, 1).await;
}

#[tokio::test]
async fn what_an_app_says_unasked_is_an_answer_to_nobody() {
    // S-096: late, while the connection lies idle.
    for late in [
        OK,
        "\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 408 Late\r\n\r\n",
    ] {
        let (mut app, front) = pair().await;
        let mut client = front.begin(GET).await;
        let mut connection = app.connection().await;
        read_until(&mut connection, "\r\n\r\n").await;
        send(&mut connection, OK).await;
        read_to_close(&mut client).await;
        send(&mut connection, late).await;
        assert_eq!(
            read_until(&mut connection, "never").await,
            "",
            "{late:?}: closed"
        );
        assert_asked_elsewhere(&mut app, &front, 1).await;
    }
}
