//! `to` and `[upstream]` of a route file: where the app is and how it is spoken to.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{
    addresses::{CertifiedName, RequestPath},
    path_prefix::PathPrefix,
    route::{HostHeader, UpstreamAddress, UpstreamProtocol},
    values::{FilePath, Of},
};

/// `to`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "To")]
pub(in crate::config) enum RawTo {
    /// The only address.
    One(Of<UpstreamAddress>),
    /// Several, one as good as the other.
    #[schemars(extend("minItems" = 1))]
    Several(Vec<Of<UpstreamAddress>>),
}

/// `[upstream]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Upstream")]
pub(in crate::config) struct RawUpstream {
    /// The version of HTTP the app is spoken to in: `"http1"` or `"http2"`. Default: `"http1"`.
    pub(in crate::config) protocol: Option<UpstreamProtocol>,
    /// The `Host` the app sees: `"preserve"`, `"upstream"`, or a host. Default: `"preserve"`.
    pub(in crate::config) host: Option<Of<HostHeader>>,
    /// From the request's end to the head of the answer, a duration. Default: `"60s"`.
    pub(in crate::config) timeout: Option<Of<Duration>>,
    /// What is taken from the beginning of every path on its way to the app: the path of `from`, or one
    /// above it. Default: nothing.
    #[schemars(extend("examples" = ["/app"]))]
    pub(in crate::config) strip_prefix: Option<Of<PathPrefix>>,
    /// What is put at the beginning of every path then. Default: nothing.
    #[schemars(extend("examples" = ["/backend"]))]
    pub(in crate::config) add_prefix: Option<Of<PathPrefix>>,
    /// A promise about the network between: nothing but vestibule reaches the app. Required for an
    /// app off loopback that is spoken to in plain HTTP.
    pub(in crate::config) reachable: Option<RawReachable>,
    /// For `https://`: PEM file of the only roots to trust for this app, a path. Default: those of
    /// the system.
    pub(in crate::config) ca_file: Option<Of<FilePath>>,
    /// For `https://`: PEM file of the certificate, with its chain, that vestibule shows to the app,
    /// a path. Default: none.
    pub(in crate::config) client_cert_file: Option<Of<FilePath>>,
    /// PEM file of its private key, a path. Required with `client_cert_file`.
    pub(in crate::config) client_key_file: Option<Of<FilePath>>,
    /// For `https://`: the name to ask for (SNI) and to find in the app's certificate. Default: the
    /// host of `to`.
    pub(in crate::config) server_name: Option<Of<CertifiedName>>,
    /// Asks each address of the app again and again whether it is well. Default: what requests show.
    pub(in crate::config) health: Option<RawHealth>,
}

/// `[upstream.health]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Health", extend("required" = ["path"]))]
pub(in crate::config) struct RawHealth {
    /// What is asked for, a path of the app that needs no sign-in there. Required.
    pub(in crate::config) path: Option<Of<RequestPath>>,
    /// From one check to the next, a duration of a second or more. Default: `"10s"`.
    pub(in crate::config) every: Option<Of<Duration>>,
    /// How long one may take, a duration. Default: `"2s"`.
    pub(in crate::config) timeout: Option<Of<Duration>>,
}

/// `[upstream] reachable`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Reachable")]
pub(in crate::config) enum RawReachable {
    /// Nothing but vestibule can connect to the app or listen on the way.
    OnlyThroughVestibule,
}
