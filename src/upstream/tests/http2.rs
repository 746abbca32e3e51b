//! HTTP/2 connections and the seats of all connections.

use std::sync::Arc;

use bytes::Bytes;
use h2::server;
use http::Response;
use tokio::net::TcpStream;

use super::support::{App, Front, GET, Options, app, front, read_to_close, send};
use crate::{
    config::route::UpstreamProtocol::{self, Http1, Http2},
    upstream::Seats,
};

const SAYS_OK: &str = "HTTP/1.1 200 OK\r\n";

/// Answers every request on every connection to come with 200 and no body.
fn answering(mut app: App) {
    tokio::spawn(async move {
        while let Some(stream) = app.connections.recv().await {
            tokio::spawn(async move {
                let mut requests = server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut answer))) = requests.accept().await {
                    let head = Response::new(());
                    let mut stream = answer.send_response(head, false).unwrap();
                    stream.send_data(Bytes::new(), true).unwrap();
                }
            });
        }
    });
}

async fn on(app: u16, seats: &Arc<Seats>, protocol: UpstreamProtocol) -> Front {
    let options = Options {
        seats: Arc::clone(seats),
        protocol,
        ..Options::default()
    };
    front(app, options).await
}

async fn asked(front: &Front) -> String {
    read_to_close(&mut front.begin(GET).await).await
}

#[tokio::test]
async fn one_seat_serves_all_threads() {
    // S-260
    let app = app().await;
    let (port, accepted) = (app.port, Arc::clone(&app.accepted));
    answering(app);
    let seats = Arc::new(Seats::new(1, 1));
    let threads = [on(port, &seats, Http2).await, on(port, &seats, Http2).await];
    for thread in threads.iter().cycle().take(6) {
        let text = asked(thread).await;
        assert!(text.starts_with(SAYS_OK), "{text}");
    }
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another_app() {
    // S-260: whichever of them speaks what.
    let shared = app().await;
    let port = shared.port;
    answering(shared);
    let mut other = app().await;
    let seats = Arc::new(Seats::new(1, 2));
    let over_http2 = on(port, &seats, Http2).await;
    let over_http1 = on(other.port, &seats, Http1).await;
    tokio::spawn(async move {
        loop {
            let mut stream: TcpStream = other.connection().await;
            let said = super::support::read_until(&mut stream, "\r\n\r\n").await;
            assert!(said.starts_with("GET "), "{said}");
            send(&mut stream, super::support::OK).await;
            tokio::spawn(async move { read_to_close(&mut stream).await });
        }
    });
    for _ in 0..2 {
        for front in [&over_http2, &over_http1] {
            let text = asked(front).await;
            assert!(text.starts_with(SAYS_OK), "{text}");
        }
    }
}
