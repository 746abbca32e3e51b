//! Resolves `to` and `[upstream]`: where an app is and how it is spoken to.
//!
//! Looks whether the files that are named are there; what is in them is read by whoever speaks TLS.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustls_pki_types::ServerName;

use super::{
    certificate_files::{is_there, is_world_readable},
    document::Document,
    finding::{Finding, Place},
    route::{
        ClientCertificate, DEFAULT_HEALTH_INTERVAL, DEFAULT_HEALTH_TIMEOUT,
        DEFAULT_UPSTREAM_TIMEOUT, HealthCheck, MAX_UPSTREAM_ADDRESSES, UpstreamAddress,
        UpstreamAddresses, UpstreamRules, UpstreamTls,
    },
    schema::{RawHealth, RawTo, RawUpstream},
    spans::KeyPath,
    values::{Fault, FilePath, Of},
};

/// Most bytes of a socket's path: what `sockaddr_un` holds beside the byte that ends it (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// Checks may not be what keeps an app busy.
const SHORTEST_HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// One route file, as far as its app is concerned.
pub(super) struct Upstreams<'a> {
    pub(super) document: &'a Document,
    /// Where relative paths begin.
    pub(super) base: &'a Path,
}

impl Upstreams<'_> {
    /// Where the app is; `None` if that is not clear.
    pub(super) fn to(
        &self,
        raw: Option<&RawTo>,
        findings: &mut Vec<Finding>,
    ) -> Option<UpstreamAddresses> {
        let at = KeyPath::of(&["to"]);
        let written = match raw? {
            RawTo::One(address) => vec![(at, address)],
            RawTo::Several(list) if list.len() > MAX_UPSTREAM_ADDRESSES => {
                let message = format!("the list has more than {MAX_UPSTREAM_ADDRESSES} addresses");
                let remedy = "put a load balancer between, and write its address";
                findings.push(self.document.error(&at, Fault::new(message, remedy)));
                return None;
            }
            RawTo::Several(list) => {
                let each = list.iter().enumerate();
                each.map(|(index, it)| (at.index(index), it)).collect()
            }
        };
        let mut addresses: Vec<UpstreamAddress> = Vec::with_capacity(written.len());
        let mut are_in_order = true;
        for (at, Of(address)) in written {
            match self.address(address, &addresses) {
                Ok(address) => addresses.push(address),
                Err(fault) => {
                    findings.push(self.document.error(&at, fault));
                    are_in_order = false;
                }
            }
        }
        UpstreamAddresses::new(addresses).filter(|_| are_in_order)
    }

    fn address(
        &self,
        address: &UpstreamAddress,
        others: &[UpstreamAddress],
    ) -> Result<UpstreamAddress, Fault> {
        let address = match address {
            UpstreamAddress::Unix(path) => UpstreamAddress::Unix(self.socket(path)?),
            address => address.clone(),
        };
        if others.contains(&address) {
            let message = format!("{address} is in the list already");
            return Err(Fault::new(message, "write each address once"));
        }
        match others.first() {
            Some(first) if first.scheme() != address.scheme() => Err(Fault::new(
                format!(
                    "the list mixes {}: and {}: addresses",
                    first.scheme(),
                    address.scheme()
                ),
                "write addresses of one kind: they stand for the same app",
            )),
            _ => Ok(address),
        }
    }

    fn socket(&self, path: &Path) -> Result<PathBuf, Fault> {
        let path = self.base.join(path);
        if !path.is_absolute() {
            let message = format!("{} is not an absolute path", path.display());
            return Err(Fault::new(message, "write the whole path of the socket"));
        }
        let length = path.as_os_str().as_bytes().len();
        if length > LONGEST_SOCKET_PATH {
            let message = format!(
                "the path of the socket, {}, has {length} bytes, and the system takes \
                 {LONGEST_SOCKET_PATH} at the most",
                path.display()
            );
            return Err(Fault::new(
                message,
                "put the socket into a folder nearer to /",
            ));
        }
        Ok(path)
    }

    /// How the app at `to` is spoken to.
    pub(super) fn rules(
        &self,
        raw: RawUpstream,
        to: Option<&UpstreamAddresses>,
        findings: &mut Vec<Finding>,
    ) -> UpstreamRules {
        let timeout = raw.timeout.map_or(DEFAULT_UPSTREAM_TIMEOUT, |it| it.0);
        if timeout.is_zero() {
            let fault = Fault::new("no app answers in no time", "write a duration, \"60s\"");
            findings.push(self.error("timeout", fault));
        }
        UpstreamRules {
            protocol: raw.protocol.unwrap_or_default(),
            timeout,
            strip_prefix: raw.strip_prefix.map_or_else(String::new, |it| it.0.0),
            add_prefix: raw.add_prefix.map_or_else(String::new, |it| it.0.0),
            tls: UpstreamTls {
                ca_file: self.file("ca_file", raw.ca_file.as_ref(), to, findings),
                client: self.client(
                    raw.client_cert_file.as_ref(),
                    raw.client_key_file.as_ref(),
                    to,
                    findings,
                ),
                server_name: self.server_name(raw.server_name.map(|name| name.0.0), to, findings),
            },
            health: raw.health.and_then(|raw| self.health(raw, findings)),
            host: raw.host.map(|host| host.0).unwrap_or_default(),
        }
    }

    /// A file that has a meaning only where TLS is spoken.
    fn file(
        &self,
        key: &str,
        raw: Option<&Of<FilePath>>,
        to: Option<&UpstreamAddresses>,
        findings: &mut Vec<Finding>,
    ) -> Option<PathBuf> {
        let file = self.base.join(&raw?.0.0);
        self.is_for_tls(key, to, findings);
        if let Err(fault) = is_there(&file) {
            findings.push(self.error(key, fault));
        }
        Some(file)
    }

    fn client(
        &self,
        cert: Option<&Of<FilePath>>,
        key: Option<&Of<FilePath>>,
        to: Option<&UpstreamAddresses>,
        findings: &mut Vec<Finding>,
    ) -> Option<ClientCertificate> {
        const CERT: &str = "client_cert_file";
        const KEY: &str = "client_key_file";
        let cert_file = self.file(CERT, cert, to, findings);
        let key_file = self.file(KEY, key, to, findings);
        let at = |key| KeyPath::of(&["upstream", key]);
        for (there, missing, key, what) in [
            (&cert_file, &key_file, KEY, "private key"),
            (&key_file, &cert_file, CERT, "certificate"),
        ] {
            if there.is_some() && missing.is_none() && !self.document.is_faulty(&at(key)) {
                let message = format!("there is no {what} beside the other half");
                let remedy = format!("write {key} too: both, or none");
                findings.push(self.error(key, Fault::new(message, remedy)));
            }
        }
        if let Some(key_file) = key_file.as_deref().filter(|it| is_world_readable(it)) {
            let message = "everybody on this machine can read the private key";
            let place = Place::file(key_file);
            findings.push(Finding::warning(place, message, "chmod o-r"));
        }
        Some(ClientCertificate {
            cert_file: cert_file?,
            key_file: key_file?,
        })
    }

    /// The name that certificates are verified for, if one is written; every host of `to` has to do
    /// where none is.
    fn server_name(
        &self,
        written: Option<String>,
        to: Option<&UpstreamAddresses>,
        findings: &mut Vec<Finding>,
    ) -> Option<String> {
        const KEY: &str = "server_name";
        if written.is_some() {
            self.is_for_tls(KEY, to, findings);
        }
        let hosts = to.into_iter().flat_map(UpstreamAddresses::iter);
        let hosts = hosts.filter_map(|address| match address {
            UpstreamAddress::Https(authority) if written.is_none() => Some(&authority.host),
            _ => None,
        });
        let unfit = hosts.chain(&written).find(|name| certified(name).is_none());
        if let Some(unfit) = unfit {
            let message = format!("no certificate can be for the name {unfit:?}");
            let remedy = "write the name that stands in the app's certificate";
            findings.push(self.error(KEY, Fault::new(message, remedy)));
        }
        written
    }

    fn is_for_tls(&self, key: &str, to: Option<&UpstreamAddresses>, findings: &mut Vec<Finding>) {
        let is_spoken = |to: &UpstreamAddresses| to.first().scheme() == "https";
        if to.is_some_and(|to| !is_spoken(to)) {
            let message = "no TLS is spoken to the app, and so this has no effect";
            let remedy = "write https:// in `to`, or leave the key out";
            findings.push(self.error(key, Fault::new(message, remedy)));
        }
    }

    fn health(&self, raw: RawHealth, findings: &mut Vec<Finding>) -> Option<HealthCheck> {
        let every = raw.every.map_or(DEFAULT_HEALTH_INTERVAL, |it| it.0);
        let timeout = raw.timeout.map_or(DEFAULT_HEALTH_TIMEOUT, |it| it.0);
        let error = |key, message, remedy| {
            let path = KeyPath::of(&["upstream", "health", key]);
            self.document.error(&path, Fault::new(message, remedy))
        };
        if every < SHORTEST_HEALTH_INTERVAL {
            let message = "checks more than once a second would be a load of their own";
            findings.push(error("every", message, "write a second or more, \"10s\""));
        }
        if timeout.is_zero() {
            let message = "no app answers in no time";
            findings.push(error("timeout", message, "write a duration, \"2s\""));
        }
        Some(HealthCheck {
            path: raw.path?.0.0,
            every,
            timeout,
        })
    }

    fn error(&self, key: &str, fault: Fault) -> Finding {
        let path = KeyPath::of(&["upstream", key]);
        self.document.error(&path, fault)
    }
}

/// The files of `[upstream]` that take part, whatever is wrong with them.
pub(super) fn files<'a>(
    raw: &'a RawUpstream,
    base: &'a Path,
) -> impl Iterator<Item = PathBuf> + 'a {
    let files = [&raw.ca_file, &raw.client_cert_file, &raw.client_key_file];
    let files = files.into_iter().flatten();
    files.map(|Of(file)| base.join(&file.0))
}

/// A host as certificates are verified for it: an IPv6 address stands without brackets there.
fn certified(host: &str) -> Option<ServerName<'_>> {
    let bare = host.strip_prefix('[').unwrap_or(host);
    ServerName::try_from(bare.strip_suffix(']').unwrap_or(bare)).ok()
}
