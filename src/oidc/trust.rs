//! Whom to trust when speaking TLS with a provider: the system's roots, and those of its `ca_file`.
//!
//! The certificate check itself is rustls' own and is never replaced. Source: RFC 9325, RFC 5280.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;

/// Trust that cannot be built.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The `ca_file` cannot be read or holds no certificate.
    #[error("failed to read the certificates of ca_file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate of the `ca_file` cannot serve as a root.
    #[error("failed to trust a certificate of ca_file {}", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// Neither the system nor a `ca_file` names anybody to trust.
    #[error("failed to find any root certificate on this system, and ca_file names none")]
    NoRoots,
    /// The TLS library refuses its own defaults.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
}

/// The TLS side of a provider's client; without any root to trust an error if it `needs_roots`.
pub(super) fn client_config(
    ca_file: Option<&Path>,
    needs_roots: bool,
) -> Result<ClientConfig, TrustError> {
    let roots = roots(ca_file)?;
    if roots.is_empty() && needs_roots {
        return Err(TrustError::NoRoots);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    // What the system's own store cannot offer in part is its administrator's matter.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |source| TrustError::CaFile {
            path: path.to_owned(),
            source,
        };
        let mut found = false;
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots
                .add(certificate.map_err(unreadable)?)
                .map_err(|source| TrustError::CaCertificate {
                    path: path.to_owned(),
                    source,
                })?;
            found = true;
        }
        if !found {
            return Err(unreadable(rustls_pki_types::pem::Error::NoItemsFound));
        }
    }
    Ok(roots)
}
