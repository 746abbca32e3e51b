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

use crate::secret::digest_of;

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

/// Whom a `ca_file` names: equal where it names the same in the same order, whatever it is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FurtherRoots(Option<[u8; 32]>);

/// The TLS side of a provider's client; without any root to trust an error if it `needs_roots`.
pub(super) fn client_config(
    ca_file: Option<&Path>,
    needs_roots: bool,
) -> Result<(ClientConfig, FurtherRoots), TrustError> {
    let (roots, further) = roots(ca_file)?;
    if roots.is_empty() && needs_roots {
        return Err(TrustError::NoRoots);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, further))
}

fn roots(ca_file: Option<&Path>) -> Result<(RootCertStore, FurtherRoots), TrustError> {
    let mut roots = RootCertStore::empty();
    // What the system's own store cannot offer in part is its administrator's matter.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut further = FurtherRoots(None);
    if let Some(path) = ca_file {
        let unreadable = |source| TrustError::CaFile {
            path: path.to_owned(),
            source,
        };
        let named = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(unreadable)?;
        if named.is_empty() {
            return Err(unreadable(rustls_pki_types::pem::Error::NoItemsFound));
        }
        let parts: Vec<_> = named.iter().map(AsRef::as_ref).collect();
        further = FurtherRoots(Some(digest_of(&parts)));
        for certificate in named {
            roots
                .add(certificate)
                .map_err(|source| TrustError::CaCertificate {
                    path: path.to_owned(),
                    source,
                })?;
        }
    }
    Ok((roots, further))
}
