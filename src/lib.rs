//! Vestibule stands in front of web apps that know nothing of single sign-on: it terminates TLS, signs
//! people in at Microsoft Entra ID (or any OpenID Connect provider), keeps their session for at most
//! 24 hours, and tells the app behind it, in a header the app can trust, who has come in.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | *downstream*, *client* | whoever sends a request to us: a browser, a script, a machine |
//! | *upstream*, *app* | what stands behind a route |
//! | *route* | a public address, an app, and the rules between them; one file each |
//! | *site* | one host with a port, and all its routes |
//! | *provider*, *issuer* | whoever vouches for people; *relying party* is what we are to it |
//! | *attempt* | a sign-in under way, sealed into a cookie for ten minutes |
//! | *identity* | what a verified token says about a person, or about an app that acts for itself |
//! | *session* | a person who has signed in, on one host, through one provider, until a fixed instant |
//! | *connection* | a TCP connection; never called a session |
//!
//! # The life of a request
//!
//! ```text
//! listener/accept -> room -> entrance (PROXY header, count per address, TLS) -> connection
//!     (without TLS, from fronts that end it: front_door -> http1)
//!     -> http1: parked -> head_guard -> round      | http2: frame_guard -> stream_service
//!     -> gateway/handle: context -> client_address -> behind_front -> target -> routes
//!     -> /.vestibule/* ? own -> login/start ... provider ... login/callback -> session/store -> back
//!     -> public rule ? -------------------------------------------+
//!     -> bearer (oidc/access_token) -> judged ---------------------+
//!     -> authenticate -> judged (authorize, identity_header) ------+
//!     -> passing_on -> upstream/forward: removal, headers, identity last -> tries -> seats -> client | http2 -> app
//! and back: head_guard -> answer_headers -> body, with the record -> connection -> client
//! a WebSocket: passing_on -> websocket -> upstream/websocket -> 101 -> handover, with the record
//!     -> connection, parted from hyper -> upstream/tunnel, for as long as it would be let in anew
//! its end, whichever it is: record -> count and access line
//! ```
//!
//! A step hands on what the next one needs or ends the request; only the last one forwards. Nothing
//! reaches an app but through a live session that the route's rules allow, or through a public or a
//! bearer rule that the operator wrote.
//!
//! # Modules
//!
//! | module | its part | knows |
//! |---|---|---|
//! | [`cli`] | one file per verb | `app`, `demo` |
//! | `demo` | the emulated tenant and two legacy apps; with the feature of that name | leaves only |
//! | [`app`] | builds every part, starts and stops it | everything below |
//! | [`gateway`] | the life of a request | `login`, `oidc`, `session`, `upstream`, `pages` |
//! | [`login`] | the endpoints below `/.vestibule/` | `oidc`, `session`, `pages` |
//! | [`ops`] | `/livez`, `/readyz`, `/metrics` | leaves only |
//! | [`listener`] | sockets, TLS, connections, their limits | leaves only |
//! | [`oidc`] | the relying party's protocol | leaves only |
//! | [`session`] | who is in, until when | leaves only |
//! | [`upstream`] | speaking to the app; which headers cross | leaves only |
//! | [`pages`] | what people see of us | leaves only |
//! | [`config`], [`cookie_pairs`], [`handover`], [`head_guard`], [`identity`], [`key_ring`], [`clock`], [`secret`], [`telemetry`], [`peer`], [`reserved`], [`trust`] | leaves | one another at most |
//!
//! A test (`tests/it/layering.rs`) keeps that table true.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cookie_pairs;
#[cfg(feature = "demo")]
pub mod demo;
pub mod gateway;
pub mod handover;
pub mod head_guard;
pub mod identity;
pub mod key_ring;
pub mod listener;
pub mod login;
pub mod oidc;
pub mod ops;
pub mod pages;
pub mod peer;
pub mod reserved;
pub mod secret;
pub mod session;
pub mod telemetry;
pub mod trust;
pub mod upstream;
