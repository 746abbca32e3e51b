//! Speaking HTTP/2 to an app: many requests at once over a few shared connections (RFC 9113).
//!
//! A request gets a stream of a connection that has one free, or a new connection, which takes a seat as
//! any other does (S-260). What one request does, or its client, never ends anything but its own stream.
//! It is sent a second time, once, only if the app provably did nothing with it (RFC 9113 8.7; S-098).
//!
//! - [`exchange`]: sends a request, takes the head of its answer
//! - [`pool`]: the connections to one app; who gets a stream, who makes a connection, which are closed
//! - [`connection`]: one connection, its bounds and its streams
//! - [`loan`]: the body of a request while hyper has it

mod connection;
mod exchange;
mod loan;
mod pool;

pub(super) use self::{connection::Stream, exchange::Http2Client, pool::Http2Pool};
