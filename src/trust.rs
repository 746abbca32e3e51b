//! Whom to trust as a client of TLS: the system's roots, those of a `ca_file`, or both; and the files
//! that both sides of such trust are written in.
//!
//! The certificate check itself is rustls' own and is never replaced. Source: RFC 9325, RFC 5280,
//! RFC 7468.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert, crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
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
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct NamedRoots(Option<[u8; 32]>);

impl NamedRoots {
    /// What tells it from others, for a digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |digest| digest)
    }
}

/// Roots to trust.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: RootCertStore,
    named: NamedRoots,
}

impl Trust {
    /// The roots of the system, as far as they can be read: the rest is its administrator's matter.
    #[must_use]
    pub fn of_system() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let named = NamedRoots::default();
        Self { roots, named }
    }

    /// The roots of a `ca_file`, and no others.
    ///
    /// # Errors
    /// Returns [`TrustError`] if it cannot be read, holds none, or holds what cannot be one.
    pub fn of_file(ca_file: &Path) -> Result<Self, TrustError> {
        let nobody = Self {
            roots: RootCertStore::empty(),
            named: NamedRoots::default(),
        };
        nobody.and_file(ca_file)
    }

    /// These and the roots of a `ca_file`.
    ///
    /// # Errors
    /// As [`Trust::of_file`].
    pub fn and_file(mut self, ca_file: &Path) -> Result<Self, TrustError> {
        let named = certificates(ca_file).map_err(|source| TrustError::CaFile {
            path: ca_file.to_owned(),
            source,
        })?;
        let parts: Vec<_> = named.iter().map(AsRef::as_ref).collect();
        self.named = NamedRoots(Some(digest_of(&parts)));
        for certificate in named {
            let added = self.roots.add(certificate);
            added.map_err(|source| TrustError::CaCertificate {
                path: ca_file.to_owned(),
                source,
            })?;
        }
        Ok(self)
    }

    /// What a `ca_file` added.
    #[must_use]
    pub fn named(&self) -> NamedRoots {
        self.named
    }

    /// The beginning of a client that trusts these: TLS 1.2 and 1.3, certificates verified.
    ///
    /// # Errors
    /// Returns [`TrustError::NoRoots`] if there are none and the client `needs_roots`.
    pub fn client(
        self,
        needs_roots: bool,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
        if self.roots.is_empty() && needs_roots {
            return Err(TrustError::NoRoots);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions();
        Ok(config
            .map_err(TrustError::Tls)?
            .with_root_certificates(self.roots))
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// Returns what is wrong with the file.
pub fn certificates(
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, rustls_pki_types::pem::Error> {
    let all: Vec<_> = CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Err(rustls_pki_types::pem::Error::NoItemsFound);
    }
    Ok(all)
}

/// The first private key of a PEM file.
///
/// # Errors
/// Returns what is wrong with the file.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, rustls_pki_types::pem::Error> {
    PrivateKeyDer::from_pem_file(file)
}
