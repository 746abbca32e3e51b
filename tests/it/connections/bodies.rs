//! Bodies that nobody reads: they end the connection, and are never a request.

use tokio::io::AsyncWriteExt;

use super::{Tiny, ask, assert_over, get, hear, patient, say};

const SMUGGLED: &str = "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n";

fn sized(method: &str, target: &str, length: usize) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
}

fn chunked(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
}

#[tokio::test]
async fn an_unread_body_is_never_a_request() {
    // S-090, S-211
    let length = SMUGGLED.len();
    let chunk = format!("{length:x}\r\n{SMUGGLED}\r\n");
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        for (head, body) in [
            (sized("POST", "/refused", length), SMUGGLED.to_owned()),
            (sized("GET", "/refused", length), SMUGGLED.to_owned()),
            (sized("HEAD", "/refused", length), SMUGGLED.to_owned()),
            (sized("POST", "/refused", length + 9), SMUGGLED.to_owned()),
            (chunked("/refused"), format!("{chunk}0\r\n\r\n")),
            (chunked("/refused"), format!("{chunk}{chunk}0\r\n\r\n")),
            (chunked("/refused"), chunk.clone()),
        ] {
            for later in [false, true] {
                let mut stream = tiny.connect().await;
                let answer = if later {
                    say(&mut stream, &head).await;
                    let answer = hear_head(&mut stream, &head).await;
                    // The connection may be closed by now.
                    let _ = stream.write_all(body.as_bytes()).await;
                    answer
                } else {
                    say(&mut stream, &format!("{head}{body}")).await;
                    hear_head(&mut stream, &head).await
                };
                assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
                let asked = tiny.asked();
                assert!(asked.iter().all(|it| it.ends_with("/refused")), "{asked:?}");
            }
        }
    }
}

/// The head of an answer to a request that may be a HEAD.
async fn hear_head(stream: &mut Box<dyn super::Stream>, request: &str) -> String {
    use tokio::io::AsyncReadExt;
    if !request.starts_with("HEAD") {
        return hear(stream).await.head;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_request_behind_a_whole_body_is_one_of_its_own() {
    // S-211
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        for target in ["/read", "/refused"] {
            let mut stream = tiny.connect().await;
            let head = sized("POST", target, SMUGGLED.len());
            say(&mut stream, &format!("{head}{SMUGGLED}{}", get("/behind"))).await;
            assert_eq!(hear(&mut stream).await.status(), 200);
            assert_eq!(hear(&mut stream).await.body, "/behind");
        }
        let asked = tiny.asked();
        assert!(!asked.iter().any(|it| it.contains("admin")), "{asked:?}");
    }
}

#[tokio::test]
async fn an_answer_in_the_middle_of_an_upload_can_be_read() {
    // S-256
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        say(&mut stream, &sized("POST", "/refused", 1 << 30)).await;
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..32 {
            if stream.write_all(&piece).await.is_err() {
                break;
            }
        }
        let answer = hear(&mut stream).await;
        assert_eq!(answer.body, "/refused");
        assert_over(&mut stream).await;
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_that_nobody_reads() {
    // S-256
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        let head = "POST /refused HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
        say(&mut stream, &format!("{head}Content-Length: 5\r\n\r\n")).await;
        assert_eq!(hear(&mut stream).await.status(), 200);
        assert_over(&mut stream).await;
        let mut stream = tiny.connect().await;
        let head = head.replace("refused", "read");
        say(&mut stream, &format!("{head}Content-Length: 5\r\n\r\n")).await;
        assert_eq!(hear(&mut stream).await.status(), 100);
        say(&mut stream, "hello").await;
        assert_eq!(hear(&mut stream).await.body, "read 5");
        ask(&mut stream, "/next").await;
    }
}

#[tokio::test]
async fn bytes_behind_a_refused_upgrade_are_a_request() {
    // S-086
    let tiny = Tiny::tls(patient()).await;
    let mut stream = tiny.connect().await;
    let upgrade = "GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n";
    say(&mut stream, &format!("{upgrade}{}", get("/behind"))).await;
    assert_eq!(hear(&mut stream).await.body, "/up");
    assert_eq!(hear(&mut stream).await.body, "/behind");
    assert_eq!(tiny.asked(), ["GET /up", "GET /behind"]);
}
