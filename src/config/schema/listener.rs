//! The raw form of `[listen]`, `[limits]` and `[tls]`. The rules of the module above hold here.
//!
//! `formatMinimum` and `formatMaximum` are the bounds that `limits.rs` holds a size or a duration to;
//! `examples` stand in remedies where those of the form would not do.

use std::{net::SocketAddr, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{
    network::Network,
    plain_address::PlainAddress,
    size::{Size, SizeOrOff},
    values::{FilePath, Hsts, Of},
};

/// `[listen]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Listen")]
pub(in crate::config) struct RawListen {
    /// The address that serves HTTPS, `"address:port"`. Required, unless there is `plain` or a socket
    /// for it is inherited (systemd).
    pub(in crate::config) https: Option<Of<SocketAddr>>,
    /// The address that redirects plain HTTP to HTTPS, `"address:port"`. Default: none.
    #[schemars(extend("examples" = ["0.0.0.0:80", "[::]:80"]))]
    pub(in crate::config) http: Option<Of<SocketAddr>>,
    /// The address that serves fronts which end TLS, `"address:port"` or `"unix:path"`. Default: none.
    #[schemars(extend("examples" = ["127.0.0.1:8080", "unix:/run/vestibule/front.sock"]))]
    pub(in crate::config) plain: Option<Of<PlainAddress>>,
    /// Data threads, 1 to 1024. Default: one per core.
    #[schemars(range(min = 1, max = 1024))]
    pub(in crate::config) workers: Option<usize>,
    /// How long requests and tunnels may go on after a stop was asked for, a duration. Default:
    /// `"20s"`.
    pub(in crate::config) grace: Option<Of<Duration>>,
    /// What `Strict-Transport-Security` promises, a duration or `"off"`. Default: `"1d"`.
    pub(in crate::config) hsts: Option<Of<Hsts>>,
    /// Fronts that are believed when they say for whom they speak: addresses and networks. Default:
    /// none.
    pub(in crate::config) trusted_proxies: Vec<Of<Network>>,
    /// Whether those fronts begin each connection with a PROXY protocol header, `true` or `false`.
    /// Default: `false`.
    pub(in crate::config) proxy_protocol: bool,
}

/// `[limits]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(in crate::config) struct RawLimits {
    /// Largest head of a request, a size, `"8KiB"` to `"256KiB"`; over HTTP/2 of its decoded fields.
    /// Default: `"32KiB"`.
    #[schemars(extend("formatMinimum" = "8KiB", "formatMaximum" = "256KiB", "examples" = ["16KiB", "32KiB", "64KiB"]))]
    pub(in crate::config) head_bytes: Option<Of<Size>>,
    /// Most fields of a head, 8 to 1000. Default: 100.
    #[schemars(range(min = 8, max = 1000))]
    pub(in crate::config) headers: Option<usize>,
    /// Largest target (path and query), a size, `"256B"` to `"63KiB"` and below `head_bytes`.
    /// Default: `"8KiB"`.
    #[schemars(extend("formatMinimum" = "256B", "formatMaximum" = "63KiB", "examples" = ["4KiB", "8KiB", "16KiB"]))]
    pub(in crate::config) target_bytes: Option<Of<Size>>,
    /// How long a head may take, and how long a new connection may say nothing, a duration, `"1s"` to
    /// `"1h"`. Default: `"10s"`.
    #[schemars(extend("formatMinimum" = "1s", "formatMaximum" = "1h"))]
    pub(in crate::config) head_timeout: Option<Of<Duration>>,
    /// How long a handshake of TLS may take, with the PROXY header before it, a duration, `"1s"` to
    /// `"1h"`. Default: `"10s"`.
    #[schemars(extend("formatMinimum" = "1s", "formatMaximum" = "1h"))]
    pub(in crate::config) tls_timeout: Option<Of<Duration>>,
    /// How long a connection may have nothing under way between two requests, a duration, `"1s"` to
    /// `"1h"`. Default: `"75s"`.
    #[schemars(extend("formatMinimum" = "1s", "formatMaximum" = "1h"))]
    pub(in crate::config) idle: Option<Of<Duration>>,
    /// How long a client may send nothing in the middle of a body, a duration, `"1s"` to `"1h"`; on
    /// public paths in all, beside a second for each 500 bytes. Default: `"60s"`.
    #[schemars(extend("formatMinimum" = "1s", "formatMaximum" = "1h"))]
    pub(in crate::config) body_idle: Option<Of<Duration>>,
    /// Most requests at once on one HTTP/2 connection, 1 to 1000. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    pub(in crate::config) streams: Option<u32>,
    /// Most connections at once of clients, and most to apps, 1 to 1000000; further ones wait.
    /// Default: 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::config) connections: Option<usize>,
    /// Most connections at once of one address (of one /64 for IPv6), 1 to 1000000, or `"off"`;
    /// further ones are closed, those of `trusted_proxies` are not counted. Default: `"off"`.
    pub(in crate::config) connections_per_address: Option<RawUpTo>,
    /// Largest body from somebody who is signed in, a size, `"1KiB"` to `"1024GiB"`, or `"off"`. Default:
    /// `"off"`.
    #[schemars(extend("formatMinimum" = "1KiB", "formatMaximum" = "1024GiB"))]
    pub(in crate::config) body_bytes: Option<Of<SizeOrOff>>,
    /// Largest body on a public path, a size, `"1KiB"` to `"1024GiB"`, or `"off"`. Default: `"1MiB"`.
    #[schemars(extend("formatMinimum" = "1KiB", "formatMaximum" = "1024GiB"))]
    pub(in crate::config) public_body_bytes: Option<Of<SizeOrOff>>,
}

/// A number, or no limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "UpTo")]
pub(in crate::config) enum RawUpTo {
    /// At most so many.
    Count(#[schemars(range(min = 1, max = 1_000_000))] usize),
    /// As many as come.
    Off(RawOff),
}

/// The word for no limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Off")]
pub(in crate::config) enum RawOff {
    /// No limit.
    Off,
}

/// `[tls]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Tls")]
pub(in crate::config) struct RawTls {
    /// The pairs to serve with, instead of every `NAME.crt` + `NAME.key` in `certs/`; the first is
    /// for clients that name no host.
    #[schemars(length(min = 1))]
    pub(in crate::config) certificates: Option<Vec<RawPair>>,
}

/// One pair of `[tls] certificates`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "CertificatePair", extend("required" = ["cert_file", "key_file"]))]
pub(in crate::config) struct RawPair {
    /// PEM: the certificate, then its intermediates; a path. Required.
    pub(in crate::config) cert_file: Option<Of<FilePath>>,
    /// PEM: the private key; a path. Required.
    pub(in crate::config) key_file: Option<Of<FilePath>>,
}
