//! The relying party against providers that misbehave on demand.
//!
//! Keys are made when the tests run; tokens are signed by hand, so that every malformed one can be
//! written. Nothing leaves the loopback interface.

mod access_tokens;
mod discovery;
mod exchange;
mod id_tokens;
mod keys;
mod nonce;
mod reach;
mod requests;
mod support;
mod wire;
