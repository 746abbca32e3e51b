//! `[listen]` and `[tls]`: where to listen and with which certificates. Opens nothing itself.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::finding::Place;

/// How long requests and tunnels may go on after a stop was asked for.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(20);

/// What `Strict-Transport-Security` promises unless configured: one day.
pub const DEFAULT_HSTS: Duration = Duration::from_hours(24);

/// `[listen]`, resolved.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The address that serves HTTPS. Port 0 asks the system for a free one.
    pub https: SocketAddr,
    /// The address that redirects plain HTTP to HTTPS; off if absent.
    pub http: Option<SocketAddr>,
    /// Data threads: one per core by default; 1 to 1024.
    pub workers: usize,
    /// How long requests may go on after a stop was asked for.
    pub grace: Duration,
    /// What `Strict-Transport-Security` promises; `None` sends no such header.
    pub hsts: Option<Duration>,
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
