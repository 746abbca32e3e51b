//! Sockets, TLS and connections: how bytes from outside become requests.
//!
//! A connection is served by whatever [`hyper::service::Service`] it is handed; nothing here knows
//! what a request means, or names a part that does.

pub mod accept;
mod activity;
mod carried;
pub mod certs;
pub mod connection;
mod exchange;
mod http1;
mod http2;
mod lingering;
mod parked;
mod refusal;
mod round;
pub mod shutdown;
pub mod tls;
mod write_stall;

pub use self::{
    accept::{BindError, Sockets},
    connection::Terms,
    shutdown::{Phase, Shutdown},
};
