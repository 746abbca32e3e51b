//! Sockets, TLS and connections: how bytes from outside become requests.
//!
//! A connection is served by whatever service it is handed that [`Serves`] it; nothing here knows what
//! a request means, or names a part that does.

pub mod accept;
mod activity;
mod carried;
pub mod certs;
mod clear_text;
pub mod connection;
mod contained;
mod cut;
mod deadline;
pub mod doorstep;
pub mod entrance;
mod exchange;
mod frame_budget;
mod frame_guard;
mod frame_scan;
pub mod front_door;
mod http1;
mod http2;
mod lingering;
mod parked;
mod patience;
mod per_address;
pub mod plain_socket;
pub mod proxy_protocol;
mod refusal;
mod rewound;
pub mod room;
mod round;
mod serves;
pub mod shutdown;
mod stopwatch;
pub mod stream;
mod stream_service;
mod stream_tasks;
mod switched;
pub mod tls;
mod write_stall;

pub use self::{
    accept::{BindError, Sockets},
    connection::Terms,
    contained::contained,
    cut::expect_cuts,
    doorstep::Doorstep,
    entrance::Entrance,
    front_door::FrontDoor,
    plain_socket::{PlainSocket, PlainSockets},
    room::{Pressure, Room},
    serves::Serves,
    shutdown::{Phase, Shutdown},
};
