//! Streams that carry another protocol behind their answer.

use h2::{Reason, RecvStream, SendStream, ext::Protocol};
use http_body_util::Empty;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::handover::{Handover, Stream, Use};

/// Agrees with everybody, and does so with what it gets.
#[derive(Clone, Copy)]
struct Switches(fn(Stream) -> Use);

impl Service<Request<Incoming>> for Switches {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut answer = Response::new(Empty::new());
        if request.method() == http::Method::CONNECT {
            Handover::to(self.0).put_into(answer.extensions_mut());
        }
        std::future::ready(Ok(answer))
    }
}

impl RefuseHead for Switches {
    fn refuse(&self, _: HeadFault) -> Response<Bytes> {
        Response::new(Bytes::new())
    }
}

fn echoes(stream: Stream) -> Use {
    Box::pin(async move {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
        let _ = writing.shutdown().await;
    })
}

fn floods(mut stream: Stream) -> Use {
    Box::pin(async move { while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {} })
}

fn panics(_: Stream) -> Use {
    Box::pin(async { panic!("a tunnel of the tests panics on purpose") })
}

fn leaves(stream: Stream) -> Use {
    Box::pin(async move { drop(stream) })
}

struct Tunnel {
    sender: SendRequest<Bytes>,
    send: SendStream<Bytes>,
    recv: RecvStream,
    terms: Terms,
    serving: JoinHandle<()>,
}

async fn tunnel(to: fn(Stream) -> Use, window: u32) -> Tunnel {
    let terms = Terms {
        limits: Arc::new(Limits::default()),
        metrics: Arc::new(Metrics::new(Clock::system())),
        shutdown: Shutdown::default(),
        pressure: Pressure::default(),
    };
    let (ours, stream) = duplex(64 * 1024);
    let serving = tokio::spawn({
        let terms = terms.clone();
        async move {
            let caller = Caller::at(([127, 0, 0, 1], 1).into());
            serve(ours, Switches(to), caller, &terms, SHORT).await;
        }
    });
    let (mut sender, _driving) = client(stream, window).await;
    while !sender.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    let request = Request::connect("https://wiki.example/")
        .extension(Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (answer, send) = sender.send_request(request, false).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    Tunnel {
        sender,
        send,
        recv: answer.into_body(),
        terms,
        serving,
    }
}

impl Tunnel {
    async fn echoes(&mut self, bytes: &'static [u8]) {
        self.send
            .send_data(Bytes::from_static(bytes), false)
            .unwrap();
        let mut heard = Vec::new();
        while heard.len() < bytes.len() {
            heard.extend_from_slice(&self.recv.data().await.unwrap().unwrap());
        }
        assert_eq!(heard, bytes);
    }

    /// How it was reset.
    async fn reset(&mut self) -> Option<Reason> {
        while let Some(data) = self.recv.data().await {
            match data {
                // Without giving any of the window back.
                Ok(_) => {}
                Err(error) => return error.reason(),
            }
        }
        None
    }
}

// S-257, S-262: neither idle nor old.
#[tokio::test(start_paused = true)]
async fn a_quiet_tunnel_outlasts_idleness_and_the_age_of_its_connection() {
    let mut tunnel = tunnel(echoes, 65_535).await;
    tunnel.echoes(b"first").await;
    sleep(SHORT.age + Limits::default().idle * 10).await;
    tunnel.echoes(b"again").await;
    tunnel.send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(tunnel.reset().await, None, "its end is one");
    timeout(LONG, tunnel.serving).await.unwrap().unwrap();
}

// S-260
#[tokio::test(start_paused = true)]
async fn a_quiet_tunnel_makes_no_room() {
    let mut tunnel = tunnel(echoes, 65_535).await;
    tunnel.echoes(b"first").await;
    let pressure = tunnel.terms.pressure.clone();
    let _waiting = pressure.ask();
    sleep(LONG).await;
    tunnel.echoes(b"again").await;
}

// S-254
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_a_tunnel_loses_it_and_nothing_else() {
    let mut tunnel = tunnel(floods, 16).await;
    let begun = now();
    assert_eq!(tunnel.reset().await, Some(Reason::CANCEL));
    assert!(begun.elapsed() >= SHORT.stall, "{:?}", begun.elapsed());
    assert_eq!(asks(&mut tunnel.sender).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_was_cut() {
    let mut tunnel = tunnel(leaves, 65_535).await;
    assert_eq!(tunnel.reset().await, Some(Reason::CANCEL));
    assert_eq!(asks(&mut tunnel.sender).await.status(), StatusCode::OK);
}

// S-268
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_tunnel_cuts_it_and_nothing_else() {
    let mut tunnel = tunnel(panics, 65_535).await;
    assert_eq!(tunnel.reset().await, Some(Reason::CANCEL));
    assert_eq!(asks(&mut tunnel.sender).await.status(), StatusCode::OK);
    let counted = tunnel.terms.metrics.text(0);
    assert!(counted.contains("vestibule_panics_total 1\n"), "{counted}");
}
