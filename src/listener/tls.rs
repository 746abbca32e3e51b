//! TLS towards clients: versions, protocols, tickets.
//!
//! TLS 1.2 and 1.3 with AEAD suites only (what rustls offers), no early data (its requests could be
//! replayed), no client certificates.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio_rustls::TlsAcceptor;

use super::certs::Certificates;

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
