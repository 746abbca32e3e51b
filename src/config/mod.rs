//! What the operator typed: read, checked, and resolved into the values the other parts are given.
//!
//! Nothing here opens a socket or knows a part above it. The types in [`listener`], [`provider`],
//! [`route`] and [`session`] are *resolved*: defaults are filled in, secrets are read, relative paths
//! are absolute, and whatever could be wrong has been found wrong by [`load`] and [`check`] before.

pub mod check;
pub mod finding;
pub mod listener;
pub mod load;
pub mod provider;
pub mod route;
pub mod session;
mod spans;

use std::path::PathBuf;

use self::{
    listener::{Listen, TlsFiles},
    provider::Provider,
    route::Route,
    session::SessionLimits,
};

/// Everything the operator configured, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, and how.
    pub listen: Listen,
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

/// `[log] access`: the form of the line that every request leaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLog {
    /// One JSON object a line (the default).
    #[default]
    Json,
    /// No access log.
    Off,
    /// `key=value` pairs for people.
    Text,
}
