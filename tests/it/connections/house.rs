//! The same through the whole application: answers of ours to requests whose body nobody reads.

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    PATIENCE,
    front::{HOST, SESSION_COOKIE, front, wiki},
    upstream,
};

#[tokio::test]
async fn the_body_of_a_refused_request_reaches_nobody() {
    // S-090, S-211: 401, 404 below our own prefix, 405, 421
    let app = upstream::echo().run();
    let front = wiki(&app, "[[public]]\npath = \"/pub\"");
    let authority = front.vestibule.authority(HOST);
    let smuggled = format!("GET /pub HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let sized = format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let unfinished = format!("Content-Length: 100000\r\n\r\n{smuggled}");
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{chunk}");
    let elsewhere = "elsewhere.example";
    for (line, host, status) in [
        ("POST /", &*authority, StatusCode::UNAUTHORIZED),
        ("DELETE /x", &authority, StatusCode::UNAUTHORIZED),
        ("POST /.vestibule/none", &authority, StatusCode::NOT_FOUND),
        ("TRACE /", &authority, StatusCode::METHOD_NOT_ALLOWED),
        ("POST /", elsewhere, StatusCode::MISDIRECTED_REQUEST),
        ("GET /pub", &authority, StatusCode::BAD_REQUEST),
    ] {
        for body in [&sized, &unfinished, &chunked] {
            let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n");
            let said = front.vestibule.raw(HOST).say(head + body).await;
            assert_eq!(said.statuses(), [status.as_u16()], "{line} {body}");
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn the_body_of_a_redirected_request_reaches_nobody() {
    // S-211
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let front = front(|it| {
        it.main("http = \"127.0.0.1:0\"")
            .route("wiki", HOST, "allow = \"signed-in\"", &nowhere)
    });
    let authority = front.vestibule.authority(HOST);
    let behind = format!("GET /behind HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    for (method, status) in [("GET", "308"), ("POST", "403")] {
        let length = behind.len() + 1;
        let head = format!("{method} / HTTP/1.1\r\nHost: {authority}\r\n");
        let request = format!("{head}Content-Length: {length}\r\n\r\n{behind}");
        let mut stream = TcpStream::connect(front.vestibule.http().unwrap())
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text))
            .await
            .expect("it is closed")
            .expect("and not reset");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        assert_eq!(&text[9..12], status);
    }
}

#[tokio::test]
async fn nobody_is_known_by_the_connection_they_share() {
    // S-222, S-223
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    let ask = |target: &str, cookie: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\n\r\n")
    };
    let nobody = format!("{SESSION_COOKIE}=nobody");
    let requests = [
        ask("/1", &session),
        ask("/2", "a=b"),
        ask("/3", &session),
        ask("/4", &nobody),
    ];
    let said = front.vestibule.raw(HOST).say(requests.concat()).await;
    assert_eq!(said.statuses(), [200, 401, 200, 401]);
    let targets: Vec<_> = app.requests().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/1", "/3"]);
}
