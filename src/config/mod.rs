//! What the operator typed: read, checked, and resolved into the values the other parts are given.
//!
//! Nothing here opens a socket or knows a part above it. The types in [`bearer`], [`listener`], [`provider`],
//! [`route`] and [`session`] are *resolved*: defaults are filled in, secrets are read, relative paths
//! are absolute, and whatever could be wrong has been found wrong by [`load`] and [`check`] before.

mod addresses;
pub mod bearer;
mod certificate_files;
pub mod check;
mod defaults;
pub mod difference;
mod document;
mod environment;
pub mod finding;
mod limits;
pub mod listener;
pub mod load;
#[cfg(test)]
mod load_tests;
mod near;
mod near_variables;
mod network;
mod origin;
mod path_pattern;
mod path_prefix;
pub mod plain_address;
pub mod plain_path;
pub mod provider;
mod provider_addresses;
mod providers;
mod remedies;
pub mod route;
mod routes_file;
pub mod schema;
mod sections;
pub mod session;
mod size;
mod spans;
mod template;
mod upstreams;
mod values;
mod walk;
pub mod watch;

pub use self::addresses::is_loopback;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use self::{
    listener::{Limits, Listen, TlsFiles},
    provider::Provider,
    route::Route,
    session::SessionLimits,
};
use crate::identity::ProviderName;

/// Everything the operator configured, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, and how.
    pub listen: Listen,
    /// How much is taken from a client, and how long is waited for one.
    pub limits: Limits,
    /// The certificate pairs, in the order in which the first is the default.
    pub tls: TlsFiles,
    /// What vestibule must remember lies here; absolute.
    pub state_dir: PathBuf,
    /// How long sessions live and how many are kept.
    pub session: SessionLimits,
    /// How requests are logged.
    pub log: AccessLog,
    /// Where `/livez`, `/readyz` and `/metrics` are served; nowhere if absent.
    pub ops: Option<std::net::SocketAddr>,
    /// The identity providers, `entra` first, then by name.
    pub providers: Vec<Provider>,
    /// The routes, by id.
    pub routes: Vec<Route>,
}

impl Config {
    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, name: &ProviderName) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| provider.name == *name)
    }
}

/// `[log] access`: the form of the line that every request leaves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// One JSON object a line (the default).
    #[default]
    Json,
    /// No access log.
    Off,
    /// `key=value` pairs for people.
    Text,
}
