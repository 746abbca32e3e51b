//! Certificates: reads chains and keys, checks that they fit, and picks one by the name a client
//! asks for (SNI, RFC 6066 3).
//!
//! A set that cannot be read whole never replaces one that can; what is wrong becomes a finding with
//! the file's name, never its content.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

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

/// All certificates to serve with, found by name; none where nothing speaks TLS.
#[derive(Default)]
pub struct CertificateSet {
    served: Vec<Served>,
    first: Option<Arc<CertifiedKey>>,
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
        let served = read.into_iter().collect::<Option<Vec<_>>>()?;
        let first = served.first()?;
        let mut set = Self {
            first: Some(Arc::clone(&first.key)),
            exact: HashMap::new(),
            below: HashMap::new(),
            addresses: first.addresses.clone(),
            served: Vec::new(),
        };
        for pair in &served {
            for name in &pair.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut set.below, parent),
                    None => (&mut set.exact, name.as_str()),
                };
                let key = || Arc::clone(&pair.key);
                names.entry(name.to_owned()).or_insert_with(key);
            }
        }
        set.served = served;
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

    /// What is worse than `before`: a certificate that browsers refuse in place of one that they
    /// take. Nothing is said of one that was there already.
    #[must_use]
    pub fn worse_than(&self, before: &Self, now: Timestamp) -> Vec<Finding> {
        let is_new = |new: &&Served| !before.served.iter().any(|old| old.is_same_as(new));
        let invalid = self.served.iter().filter(is_new);
        let invalid = invalid.filter(|new| !new.is_valid(now));
        invalid
            .filter_map(|new| {
                let mut names = new.names.iter();
                let name = names.find(|name| {
                    let takes_over = self
                        .by_name(name)
                        .is_some_and(|it| Arc::ptr_eq(it, &new.key));
                    let old = || before.served(before.by_name(name)?);
                    takes_over && old().is_some_and(|old| old.is_valid(now))
                })?;
                let message = format!(
                    "the certificate is valid from {} to {}, and the one it would replace for \
                     {name} is valid now",
                    new.begins, new.ends
                );
                let remedy = "put one there that is valid now";
                Some(Finding::error(Place::file(&new.cert_file), message, remedy))
            })
            .collect()
    }

    /// The certificates that `other` does not have: their names and their ends.
    pub fn without_those_of<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = String> + 'a {
        let is_new = |own: &&Served| !other.served.iter().any(|it| it.is_same_as(own));
        self.served.iter().filter(is_new).map(ToString::to_string)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.served.is_empty()
    }

    /// Whether both serve the same certificates in the same order.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let (own, other) = (&self.served, &other.served);
        own.len() == other.len() && own.iter().zip(other).all(|(own, it)| own.is_same_as(it))
    }

    fn served(&self, key: &Arc<CertifiedKey>) -> Option<&Served> {
        self.served.iter().find(|it| Arc::ptr_eq(&it.key, key))
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

    /// The set in force.
    #[must_use]
    pub fn current(&self) -> Arc<CertificateSet> {
        self.0.load_full()
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
                    // Anybody may ask for anything, as often as they like.
                    tracing::debug!(
                        host = name,
                        "no certificate for the host that a client asks for"
                    );
                }
                found
            }
            None => set.first.clone(),
        }
    }
}

/// One chain with its key, and what it says of itself.
struct Served {
    key: Arc<CertifiedKey>,
    cert_file: PathBuf,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    begins: Timestamp,
    ends: Timestamp,
}

impl Served {
    fn is_valid(&self, now: Timestamp) -> bool {
        self.begins <= now && now < self.ends
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

/// `wiki.example.com, *.example.com, until 2027-01-01T00:00:00Z`
impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.names {
            write!(f, "{name}, ")?;
        }
        for address in &self.addresses {
            write!(f, "{address}, ")?;
        }
        write!(f, "until {}", self.ends)
    }
}

fn read_pair(
    pair: &CertificatePair,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Option<Served> {
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
    let said = read_names(pair, &chain, now, findings)?;
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(key) => Some(Served {
            key: Arc::new(key),
            cert_file: pair.cert_file.clone(),
            names: said.names,
            addresses: said.addresses,
            begins: said.begins,
            ends: said.ends,
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

/// What a certificate says of itself.
struct Said {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    begins: Timestamp,
    ends: Timestamp,
}

/// What the first certificate of a chain says of itself.
fn read_names(
    pair: &CertificatePair,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Option<Said> {
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
    Some(Said {
        names,
        addresses,
        begins,
        ends,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
