//! The life of a request, from its head to its answer: [`handle`] reads as that list.
//!
//! Nothing reaches an upstream from here but through a live session that the route's rules allow,
//! or through a public or a bearer rule that the operator wrote.

mod authenticate;
pub mod authorize;
mod bearer;
mod behind_front;
mod body;
mod client_address;
mod context;
mod error;
mod failure;
mod handle;
mod house;
mod judged;
mod lease;
mod own;
mod page_view;
mod passing_on;
mod prefixes;
mod record;
mod redirect_to_https;
mod refused_head;
mod routes;
mod target;
mod websocket;

pub use self::{
    body::GatewayBody,
    handle::{Gateway, Worker},
    redirect_to_https::RedirectToHttps,
    routes::{Providers, RouteTable},
    target::authority_of,
};
