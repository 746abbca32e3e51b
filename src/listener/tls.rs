//! TLS towards clients: versions, protocols, tickets; the handshake under a time limit.
//!
//! TLS 1.2 and 1.3 with AEAD suites only (what rustls offers), no early data (its requests could be
//! replayed), no client certificates.

use std::{io, sync::Arc, time::Duration};

use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::certs::Certificates;

/// How long a handshake may take.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// What ALPN calls HTTP/2 over TLS (RFC 9113 3.2).
pub const ALPN_H2: &[u8] = b"h2";

/// Makes the acceptor for a listener.
///
/// # Errors
/// Returns the error of rustls if no ticket key can be made.
pub fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    // One ticket is enough to resume with, and each costs a signature-free but not a free message.
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Completes a handshake, or fails within [`TLS_TIMEOUT`].
///
/// # Errors
/// Returns the error of the socket or of rustls; `TimedOut` if the client took too long.
pub async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<Box<TlsStream<TcpStream>>> {
    handshake_within(TLS_TIMEOUT, acceptor, stream).await
}

async fn handshake_within(
    limit: Duration,
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> io::Result<Box<TlsStream<TcpStream>>> {
    match timeout(limit, acceptor.accept(stream)).await {
        Ok(accepted) => accepted.map(Box::new),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use rustls::server::ResolvesServerCertUsingSni;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_handshake_that_stalls_is_given_up_and_closed() {
        // S-100: nothing, half a record, a record that never ends
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        for said in [
            &b""[..],
            b"\x16\x03",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ] {
            let address = listener.local_addr().unwrap();
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let limit = Duration::from_millis(20);
            let failed = handshake_within(limit, &acceptor, stream).await;
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed");
        }
    }
}
