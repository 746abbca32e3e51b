//! Certificates: reads chains and keys, checks that they fit, and picks one by the name a client
//! asks for (SNI, RFC 6066 3).
//!
//! A set that cannot be read whole never replaces one that can; what is wrong becomes a finding with
//! the file's name, never its content.

use std::{collections::HashMap, fmt, net::IpAddr, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::{
    clock::Timestamp,
    config::{
        finding::{Finding, Place},
        listener::{CertificatePair, TlsFiles},
    },
};

/// All certificates to serve with, found by name.
pub struct CertificateSet {
    first: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `example.com` for a certificate of `*.example.com`.
    below: HashMap<String, Arc<CertifiedKey>>,
    /// Of the first certificate alone: who connects to an address names no host.
    addresses: Vec<IpAddr>,
}

impl CertificateSet {
    /// Reads every pair; what is wrong is added to `findings`.
    ///
    /// Returns `None` if any pair cannot be served with, or if there is none. An expired certificate
    /// is a warning: a page that warns is better than a page that is not there.
    pub fn read(files: &TlsFiles, now: Timestamp, findings: &mut Vec<Finding>) -> Option<Self> {
        let read: Vec<_> = files
            .pairs
            .iter()
            .map(|pair| read_pair(pair, now, findings))
            .collect();
        let mut pairs = read
            .into_iter()
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .peekable();
        let mut set = Self {
            first: Arc::clone(&pairs.peek()?.key),
            exact: HashMap::new(),
            below: HashMap::new(),
            addresses: pairs.peek()?.addresses.clone(),
        };
        for pair in pairs {
            for name in pair.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut set.below, parent.to_owned()),
                    None => (&mut set.exact, name),
                };
                names.entry(name).or_insert_with(|| Arc::clone(&pair.key));
            }
        }
        Some(set)
    }

    /// Whether a host of a route is covered: lower-case name, IPv4 address, or IPv6 in brackets.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self.by_name(host).is_some(),
        }
    }

    fn by_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.below.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}

/// The names alone: the rest is keys.
impl fmt::Debug for CertificateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateSet")
            .field("exact", &self.exact.keys())
            .field("below", &self.below.keys())
            .finish_non_exhaustive()
    }
}

/// Hands rustls the certificate for each handshake; the set behind it can be swapped at any time.
#[derive(Debug)]
pub struct Certificates(ArcSwap<CertificateSet>);

impl Certificates {
    /// Serves with `set` until it is swapped.
    #[must_use]
    pub fn new(set: CertificateSet) -> Self {
        Self(ArcSwap::from_pointee(set))
    }

    /// Serves new handshakes with `set`.
    pub fn swap(&self, set: CertificateSet) {
        self.0.store(Arc::new(set));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.0.load();
        match hello.server_name() {
            // rustls hands the name over in lower case.
            Some(name) => {
                let found = set.by_name(name).map(Arc::clone);
                if found.is_none() {
                    tracing::info!(
                        host = name,
                        "no certificate for the host that a client asks for"
                    );
                }
                found
            }
            None => Some(Arc::clone(&set.first)),
        }
    }
}

struct ReadPair {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

fn read_pair(
    pair: &CertificatePair,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Option<ReadPair> {
    let place = |file: &Path| Place {
        file: Some(file.to_owned()),
        ..pair.place.clone()
    };
    let mut report = |file: &Path, message: String, remedy: &str| {
        findings.push(Finding::error(place(file), message, remedy));
    };
    let chain = match CertificateDer::pem_file_iter(&pair.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
    {
        Ok(chain) if chain.is_empty() => {
            let remedy = "the file must hold `BEGIN CERTIFICATE` blocks, the server's own first";
            report(
                &pair.cert_file,
                "no certificate in this file".to_owned(),
                remedy,
            );
            None
        }
        Ok(chain) => Some(chain),
        Err(error) => {
            let message = format!("failed to read the certificate: {error}");
            report(&pair.cert_file, message, "give a readable PEM file");
            None
        }
    };
    let key = match PrivateKeyDer::from_pem_file(&pair.key_file) {
        Ok(key) => Some(key),
        Err(error) => {
            let message = format!("failed to read the private key: {error}");
            report(
                &pair.key_file,
                message,
                "give a readable PEM file with an unencrypted key",
            );
            None
        }
    };
    let (chain, key) = (chain?, key?);
    let (names, addresses) = read_names(pair, &chain, now, findings)?;
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(key) => Some(ReadPair {
            key: Arc::new(key),
            names,
            addresses,
        }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let message = format!(
                "the key does not fit the certificate {}",
                pair.cert_file.display()
            );
            let remedy = "put the key that the certificate was made for beside it";
            findings.push(Finding::error(place(&pair.key_file), message, remedy));
            None
        }
        Err(error) => {
            let message = format!("failed to use the private key: {error}");
            let remedy = "use an RSA (2048 bits or more), ECDSA or Ed25519 key";
            findings.push(Finding::error(place(&pair.key_file), message, remedy));
            None
        }
    }
}

/// The names and addresses of the first certificate of a chain.
fn read_names(
    pair: &CertificatePair,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Option<(Vec<String>, Vec<IpAddr>)> {
    let place = || Place {
        file: Some(pair.cert_file.clone()),
        ..pair.place.clone()
    };
    let Some(Ok((_, certificate))) = chain.first().map(|der| X509Certificate::from_der(der)) else {
        let remedy = "export the certificate again";
        findings.push(Finding::error(
            place(),
            "failed to read the certificate's content",
            remedy,
        ));
        return None;
    };
    let ends = Timestamp::from_unix_seconds(certificate.validity().not_after.timestamp());
    let begins = Timestamp::from_unix_seconds(certificate.validity().not_before.timestamp());
    if ends <= now {
        let message = format!("the certificate expired at {ends}");
        let remedy = "browsers refuse it; put a new one in its place";
        findings.push(Finding::warning(place(), message, remedy));
    } else if begins > now {
        let message = format!("the certificate is not valid before {begins}");
        findings.push(Finding::warning(
            place(),
            message,
            "check this machine's clock",
        ));
    }
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    if names.is_empty() && addresses.is_empty() {
        let message = "the certificate names no host (no subject alternative name)";
        let remedy = "browsers ignore the common name; have it issued with a DNS name";
        findings.push(Finding::error(place(), message, remedy));
        return None;
    }
    Some((names, addresses))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
