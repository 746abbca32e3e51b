//! An app on loopback that answers every request with the same page, and the provider's documents,
//! which lie at the same address. Allocates nothing for a request.

use std::{net::SocketAddr, sync::Arc};

use memchr::memmem;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What an app says of a page, beside its length and type.
pub(crate) const FIELDS: [(&str, &str); 7] = [
    ("Date", "Sat, 21 Nov 2026 09:30:00 GMT"),
    ("Server", "Apache-Coyote/1.1"),
    ("ETag", "W/\"1024-1795289400000\""),
    ("Last-Modified", "Fri, 20 Nov 2026 17:00:00 GMT"),
    ("Vary", "Accept-Encoding"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Content-Language", "en-US"),
];

/// A key of the provider that nothing here is signed with: the public one of RFC 7517 A.1.
const KEY_X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
const KEY_Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

/// The bytes of an answer.
pub(crate) fn answer(content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut text = String::from("HTTP/1.1 200 OK\r\n");
    for (name, value) in FIELDS {
        text.extend([name, ": ", value, "\r\n"]);
    }
    let length = body.len().to_string();
    text.extend(["Content-Type: ", content_type, "\r\n"]);
    text.extend(["Content-Length: ", &length, "\r\n\r\n"]);
    [text.as_bytes(), body].concat()
}

/// Answers at `listener` for as long as the runtime lives.
pub(crate) async fn run(listener: TcpListener) {
    let address = listener.local_addr().expect("it is bound");
    let answers = Arc::new(Answers::of(address));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&answers)));
    }
}

struct Answers {
    metadata: Vec<u8>,
    keys: Vec<u8>,
    page: Vec<u8>,
}

impl Answers {
    fn of(address: SocketAddr) -> Self {
        let origin = format!("http://{address}");
        let metadata = json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "jwks_uri": format!("{origin}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": "1", "x": KEY_X, "y": KEY_Y,
        });
        let keys = json!({ "keys": [key] });
        let document =
            |it: &serde_json::Value| answer("application/json", it.to_string().as_bytes());
        Self {
            metadata: document(&metadata),
            keys: document(&keys),
            page: answer("text/html; charset=utf-8", &[b'x'; 1024]),
        }
    }

    fn to(&self, request: &[u8]) -> &[u8] {
        if request.starts_with(b"GET /.well-known/") {
            &self.metadata
        } else if request.starts_with(b"GET /keys ") {
            &self.keys
        } else {
            &self.page
        }
    }
}

/// Answers requests that have no body.
async fn serve(mut stream: TcpStream, answers: Arc<Answers>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += read;
        if memmem::find(&buffer[..filled], b"\r\n\r\n").is_none() {
            continue;
        }
        let answer = answers.to(&buffer[..filled]);
        filled = 0;
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
