//! Writes given bytes over TLS and keeps what comes back, whatever it is.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{
    PATIENCE,
    pki::{Alpn, Pki},
};

/// After this long without a byte an open connection counts as having said all it will.
const IDLE: Duration = Duration::from_millis(400);

/// Opens raw connections to one address.
pub(crate) struct RawTls {
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// What came back before the end.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) bytes: Vec<u8>,
    /// Whether the other side closed; otherwise it went quiet.
    pub(crate) closed: bool,
}

/// A raw client of `address` that trusts `pki` and names `host` in the handshake.
pub(crate) fn raw_tls(address: SocketAddr, host: &str, pki: &Pki) -> RawTls {
    RawTls {
        address,
        name: ServerName::try_from(host.to_owned()).unwrap(),
        config: pki.client(Alpn::Http1),
    }
}

impl RawTls {
    pub(crate) fn offering(mut self, alpn: Alpn, pki: &Pki) -> Self {
        self.config = pki.client(alpn);
        self
    }

    /// Sends no name in the handshake.
    pub(crate) fn without_sni(mut self) -> Self {
        Arc::make_mut(&mut self.config).enable_sni = false;
        self
    }

    /// A connection after its handshake, or why there is none.
    pub(crate) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let connecting = async {
            let stream = TcpStream::connect(self.address).await?;
            let connector = TlsConnector::from(Arc::clone(&self.config));
            connector.connect(self.name.clone(), stream).await
        };
        timeout(PATIENCE, connecting).await?
    }

    /// Writes all of `bytes` on a new connection, then reads until it closes or goes quiet.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> RawAnswer {
        let mut stream = self.connect().await.unwrap();
        // Whoever is refused early may find the connection closed while writing; what was said
        // before that is still to be read.
        let _ = stream.write_all(bytes.as_ref()).await;
        let _ = stream.flush().await;
        listen(&mut stream).await
    }
}

impl RawAnswer {
    /// The bytes, one character each.
    pub(crate) fn text(&self) -> String {
        self.bytes.iter().copied().map(char::from).collect()
    }

    /// The status codes of all HTTP/1 answers in it.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let lines = text.match_indices("HTTP/1.");
        lines
            .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok())
            .collect()
    }
}

async fn listen(stream: &mut TlsStream<TcpStream>) -> RawAnswer {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    // Patience for the first byte, then short: an answer comes in one go.
    let mut patience = PATIENCE;
    loop {
        match timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => {
                break RawAnswer {
                    bytes,
                    closed: true,
                };
            }
            Ok(Ok(read)) => bytes.extend_from_slice(&buffer[..read]),
            Err(_) => {
                let closed = false;
                break RawAnswer { bytes, closed };
            }
        }
        patience = IDLE;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::support::{client, clock, pki};

    /// A TLS server that says the same to everybody, after a first piece of whatever they say.
    async fn serving(leaf: pki::Leaf, answer: &'static [u8]) -> SocketAddr {
        let acceptor = TlsAcceptor::from(leaf.server(b"http/1.1"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }

    #[tokio::test]
    async fn raw_bytes_go_there_and_come_back() {
        let pki = pki::fresh();
        let answer = b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 No\r\n\r\n";
        let address = serving(pki.leaf(&["a.example"]), answer).await;
        let raw = raw_tls(address, "a.example", &pki);
        let said = raw.say("x").await;
        assert!(said.closed);
        assert_eq!(said.statuses(), [200, 400]);
        assert_eq!(said.text().as_bytes(), answer);
        let silent = raw.offering(Alpn::Silent, &pki).without_sni();
        assert!(silent.connect().await.is_ok());
        let h2 = raw_tls(address, "a.example", &pki).offering(Alpn::H2, &pki);
        assert!(h2.connect().await.is_err(), "the server speaks no h2");
    }

    #[tokio::test]
    async fn nobody_else_is_trusted() {
        let pki = pki::fresh();
        let address = serving(pki.leaf(&["a.example"]), b"").await;
        for (name, trusted) in [("a.example", &pki::fresh()), ("b.example", &pki)] {
            assert!(raw_tls(address, name, trusted).connect().await.is_err());
        }
        let expired = serving(pki.expired_leaf(&["a.example"]), b"").await;
        assert!(raw_tls(expired, "a.example", &pki).connect().await.is_err());
    }

    #[tokio::test]
    async fn a_browser_speaks_to_the_host_of_the_url_over_tls() {
        let pki = pki::fresh();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let address = serving(pki.leaf(&["a.example"]), answer).await;
        let mut browser = client::browser(&pki, clock::manual().clock());
        let url = format!("https://a.example:{}/", address.port());
        let answer = browser.view(&url).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "hi"));
        assert_eq!(answer.version, http::Version::HTTP_11);
        assert!(answer.redirects_to().is_none());
    }
}
