//! `[listen]`, `[limits]` and `[tls]`: where to listen, how much is taken, and with which
//! certificates. Opens nothing itself.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use super::{finding::Place, plain_address::PlainAddress};

/// How long requests and tunnels may go on after a stop was asked for.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(20);

/// What `Strict-Transport-Security` promises unless configured: one day.
pub const DEFAULT_HSTS: Duration = Duration::from_hours(24);

/// The address that somebody has who comes over a unix socket: this machine.
pub const OVER_UNIX: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `[listen]`, resolved.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The address that serves HTTPS; absent if a socket for it is to be inherited. Port 0 asks the
    /// system for a free one.
    pub https: Option<SocketAddr>,
    /// The address that redirects plain HTTP to HTTPS; off if absent.
    pub http: Option<SocketAddr>,
    /// The address that serves fronts which end TLS; off if absent.
    pub plain: Option<PlainAddress>,
    /// Data threads: one per core by default; 1 to 1024.
    pub workers: usize,
    /// How long requests may go on after a stop was asked for.
    pub grace: Duration,
    /// What `Strict-Transport-Security` promises; `None` sends no such header.
    pub hsts: Option<Duration>,
    /// Fronts that are believed when they say for whom they speak; nobody by default.
    pub trusted_proxies: TrustedProxies,
    /// Whether those fronts begin each connection with a PROXY protocol header.
    pub proxy_protocol: bool,
}

/// The networks of fronts that are believed when they say for whom they speak.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// Whether a front at this address may end TLS for us: one of this machine, or one that is
    /// believed.
    #[must_use]
    pub fn may_end_tls(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.contains(address)
    }

    /// Whether somebody at this address is believed. An IPv4 address in its IPv6 form is what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// `[limits]`, resolved: how much is taken from a client, and how long is waited for one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Largest head, in bytes; over HTTP/2 of its decoded fields as RFC 9113 6.5.2 counts them.
    pub head_bytes: usize,
    /// Most fields of a head.
    pub headers: usize,
    /// Largest target, in bytes.
    pub target_bytes: usize,
    /// How long a head may take from its first byte to its last; a connection may say nothing as long.
    pub head_timeout: Duration,
    /// How long a handshake of TLS may take.
    pub tls_timeout: Duration,
    /// How long a connection may have nothing under way between two requests.
    pub idle: Duration,
    /// How long a client may send nothing in the middle of a body; on a public path beside what it
    /// brings.
    pub body_idle: Duration,
    /// Most requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Most connections at once of clients; there are as many towards apps, if the open files allow.
    pub connections: usize,
    /// Most connections at once of one address (of one /64 for IPv6); no such limit if absent.
    pub connections_per_address: Option<usize>,
    /// Largest body of somebody who is signed in, in bytes; no such limit if absent.
    pub body_bytes: Option<u64>,
    /// Largest body on a public path, in bytes; no such limit if absent.
    pub public_body_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            headers: 100,
            target_bytes: 8 * 1024,
            head_timeout: Duration::from_secs(10),
            tls_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_idle: Duration::from_mins(1),
            streams: 100,
            connections: 10_000,
            connections_per_address: None,
            body_bytes: None,
            public_body_bytes: Some(1024 * 1024),
        }
    }
}

/// The certificate pairs to serve with; the first is for clients that name no host.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// In the order of file names, or as `[tls] certificates` lists them.
    pub pairs: Vec<CertificatePair>,
}

/// One chain with its private key.
#[derive(Clone, Debug)]
pub struct CertificatePair {
    /// PEM: the certificate, then its intermediates.
    pub cert_file: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
    /// Where it was configured, for findings about it.
    pub place: Place,
}
