//! Speaking HTTP/1.1 or HTTP/2 to the app, and exactly which headers cross in both directions.
//!
//! Nothing here decides who may come in: a request that arrives has been let in. What is promised is
//! that whatever a client sends under the name of a header of ours is removed first, always, and
//! that ours are set last (design 3.2; RFC 9110 7.6.1, RFC 9112). This module knows no session, no
//! sign-in and no listener; whether what is streaming may go on it asks a [`Lease`].
//!
//! - [`forward`] ties it together: the client's request in, the app's answer out
//! - [`removal`], [`headers`], [`cookies`], [`identity_header`], `trace`: the request's fields
//! - [`path_mapping`]: where paths lie at the app; [`answer_addresses`], `cookie_attributes`: and back
//! - [`answer_headers`]: the answer's fields
//! - [`apps`], [`app`], `standing`, `tries`: where the app is, and which of its addresses is next; [`health`]:
//!   whether they are well
//! - `connect`, `stream`, [`tls`]: the way there
//! - [`client`], `pool`, [`seats`], `bound`: connections to the app, and how many; `http2`: those that requests
//!   share; [`body`]: what streams over them; `repeat`: what is sent a second time
//! - [`websocket`], [`tunnel`]: a client and an app that switch to another protocol, and what then flows
//! - [`error`]: what can go wrong, and whose fault it is

pub mod answer_addresses;
pub mod answer_headers;
pub mod app;
pub mod apps;
pub mod body;
mod bound;
pub mod client;
mod connect;
mod connection_bound;
mod cookie_attributes;
pub mod cookies;
pub mod error;
pub mod forward;
pub mod headers;
pub mod health;
mod http2;
pub mod identity_header;
pub mod lease;
pub mod path_mapping;
mod pool;
pub mod removal;
mod repeat;
mod seated;
pub mod seats;
mod standing;
mod stream;
pub mod target;
pub mod tls;
mod trace;
mod tries;
pub mod tunnel;
pub mod websocket;

#[cfg(test)]
mod tests;

pub use self::{
    app::Reached,
    apps::{Apps, RouteTls},
    body::{AnswerBody, BodyLimits, UpstreamBody},
    client::UpstreamClient,
    error::{Blame, UpstreamError},
    forward::{Forwarding, forward},
    headers::HeaderRefusal,
    health::Checkup,
    identity_header::{RenderError, RenderedIdentity, render, render_as},
    lease::{BytesPerSecond, Ended, Lease},
    removal::RemovalList,
    seats::{Caller, Seats},
    target::{RouteTarget, TargetError},
    tls::{AppTls, AppTlsError},
    tunnel::{Tunnel, TunnelEnd},
};
