//! Sockets, TLS and connections: how bytes from outside become requests.
//!
//! A connection is served by whatever [`hyper::service::Service`] it is handed; nothing here knows
//! what a request means, or names a part that does.

pub mod accept;
mod activity;
mod carried;
pub mod certs;
pub mod connection;
pub mod entrance;
mod exchange;
mod frame_budget;
mod frame_guard;
mod frame_scan;
mod http1;
mod http2;
mod lingering;
mod parked;
mod patience;
mod per_address;
pub mod proxy_protocol;
mod refusal;
pub mod room;
mod round;
pub mod shutdown;
mod stopwatch;
pub mod stream;
mod stream_service;
mod stream_tasks;
pub mod tls;
mod write_stall;

pub use self::{
    accept::{BindError, Sockets},
    connection::Terms,
    entrance::Entrance,
    room::{Pressure, Room},
    shutdown::{Phase, Shutdown},
};
