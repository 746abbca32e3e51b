//! The apps of the house: they keep every byte, and answer what is a request.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    super::http1::{self, End},
    Heard, Script,
    log::Log,
};

/// Runs an app of this number.
pub(super) async fn run_app(app: usize, log: Log) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            log.moved();
            log.lock().conversation.connections += 1;
            tokio::spawn(serve_app(app, stream, log.clone()));
        }
    });
    address
}

/// Answers each whole request; says nothing to anything else, and keeps all of it.
async fn serve_app(app: usize, mut stream: TcpStream, log: Log) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 16 * 1024];
    let mut current: Option<usize> = None;
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        log.moved();
        let answer = {
            let mut state = log.lock();
            let heard = &mut state.conversation.heard;
            if read == 0 {
                if let Some(heard) = current.and_then(|it| heard.get_mut(it)) {
                    heard.closed = true;
                }
                return;
            }
            let at = *current.get_or_insert(heard.len());
            let call = state.conversation.calls.len().wrapping_sub(1);
            let heard = &mut state.conversation.heard;
            if heard.len() == at {
                heard.push(Heard {
                    app,
                    call,
                    bytes: Vec::new(),
                    closed: false,
                });
            }
            let bytes = &mut heard[at].bytes;
            bytes.extend_from_slice(&buffer[..read]);
            let reading = http1::requests(bytes);
            let Some(request) = reading.whole.first() else {
                if matches!(reading.end, End::Clean | End::InHead | End::InBody(_)) {
                    continue;
                }
                // No app could make anything of it.
                heard[at].closed = true;
                return;
            };
            answer_to(request, state.script.as_ref())
        };
        current = None;
        if stream.write_all(&answer.bytes).await.is_err() || answer.closes {
            return;
        }
        log.moved();
    }
}

fn answer_to(request: &http1::Request, script: Option<&Script>) -> Script {
    let is_scripted = [&b"/answer"[..], b"/open/answer"]
        .iter()
        .any(|start| request.target.starts_with(start));
    if let Some(script) = script.filter(|_| is_scripted) {
        return script.clone();
    }
    let head = b"HTTP/1.1 200 OK\r\nX-App: here\r\nContent-Length: 2\r\n\r\n";
    let body: &[u8] = if request.method == b"HEAD" {
        b""
    } else {
        b"ok"
    };
    Script {
        bytes: [head, body].concat(),
        closes: false,
    }
}
