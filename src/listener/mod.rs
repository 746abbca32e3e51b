//! Sockets, TLS and connections: how bytes from outside become requests.
//!
//! A connection is served by whatever [`hyper::service::Service`] it is handed; nothing here knows
//! what a request means, or names a part that does.

pub mod accept;
mod activity;
pub mod certs;
pub mod connection;
mod http1;
mod http2;
pub mod shutdown;
pub mod tls;
mod write_stall;

pub use self::{
    accept::{BindError, Sockets},
    connection::Terms,
    shutdown::{Phase, Shutdown},
};
