//! Faults of ours: each is the fault of one request, one connection, one turn of the work behind it.
//! (In a request: `invariants::broken_store`; in the background: `app::kept_up`.)

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::{body::Incoming, service::Service};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use vestibule::{
    config::listener::Limits,
    head_guard::{HeadFault, RefuseHead},
    listener::{
        Phase, Pressure, Room, Shutdown, Sockets, Terms, accept::accept, connection::serve_plain,
    },
    telemetry::Metrics,
};

use crate::support::{PATIENCE, clock};

/// One piece, then a fault or the end.
struct Piece {
    sent: bool,
    faulty: bool,
}

impl Body for Piece {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.sent {
            self.sent = true;
            let piece = Bytes::from_static(b"a piece");
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        assert!(!self.faulty, "a body of the tests panics on purpose");
        Poll::Ready(None)
    }
}

struct Pieces;

impl Service<Request<Incoming>> for Pieces {
    type Response = Response<Piece>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Piece>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let body = Piece {
            sent: false,
            faulty: request.uri().path() == "/faulty",
        };
        ready(Ok(Response::new(body)))
    }
}

impl RefuseHead for Pieces {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        panic!("a request of the tests is refused: {fault}");
    }
}

/// All that comes back for a request; the connection ends one way or another.
async fn asked(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A reset is an end, too.
    let _ = read.expect("the connection ends");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_panic_in_a_body_breaks_that_answer_off_and_ends_nothing_else() {
    // S-268
    let sockets = Sockets::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
    let address = sockets.address();
    let terms = Terms {
        limits: Arc::new(Limits::default()),
        metrics: Arc::new(Metrics::new(clock::manual().clock())),
        shutdown: Shutdown::default(),
        pressure: Pressure::default(),
    };
    let (shutdown, metrics) = (terms.shutdown.clone(), Arc::clone(&terms.metrics));
    let serve = move |stream, address| {
        let terms = terms.clone();
        async move {
            serve_plain(stream, address, |_| Pieces, &terms).await;
        }
    };
    let listener = sockets.into_listeners().remove(0);
    // One place alone: a connection that does not give it back would keep everybody out.
    let room = Room::new(1, Pressure::default());
    let accepting = tokio::spawn(accept(listener, room, shutdown.clone(), serve));
    for _ in 0..3 {
        let broken = asked(address, "/faulty").await;
        assert!(!broken.ends_with("0\r\n\r\n"), "it looks whole: {broken}");
        let whole = asked(address, "/fine").await;
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n"), "{whole}");
        assert!(whole.ends_with("a piece\r\n0\r\n\r\n"), "{whole}");
    }
    let counted = metrics.text(0);
    assert!(counted.contains("vestibule_panics_total 3\n"), "{counted}");
    // Nothing of it counts as under way any more.
    shutdown.advance_to(Phase::Draining);
    timeout(PATIENCE, shutdown.finished()).await.unwrap();
    accepting.await.unwrap().unwrap();
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn no_lock_stays_closed_after_a_panic() {
    // S-268: every lock of a thread is opened also when its last holder panicked; those of tasks
    // (which are awaited) know no such state.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in sources(&root.join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let code: String = text.split_whitespace().collect();
        let code = code.split("#[cfg(test)]modtests{").next().unwrap();
        for (at, call) in code.match_indices(".lock()") {
            // `self.lock()` is a method of our own; what it calls is looked at where it stands.
            let (before, rest) = (&code[..at], &code[at + call.len()..]);
            let opened = rest.starts_with(".unwrap_or_else(PoisonError::into_inner)");
            let fine = opened || rest.starts_with(".await") || before.ends_with("self");
            assert!(fine, "{}: {rest:.60}", file.display());
            seen += usize::from(opened);
        }
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn no_profile_ends_the_process_at_a_panic() {
    // S-268
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["Cargo.toml", ".cargo/config.toml"] {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        let text: String = text.split_whitespace().collect();
        assert!(!text.contains("panic=\"abort\""), "{file}");
    }
}
