//! An emulated Entra ID tenant: discovery, keys, sign-in page, token endpoint and logout over plain
//! HTTP on loopback, faithful to `entra.md` where vestibule could tell the difference.
//!
//! It must never be mistaken for the real thing: every page says what it is, and there are no
//! passwords. Not emulated yet: `common` and `organizations`, refresh tokens, consent, Graph.

mod authorize;
mod claims;
mod discovery;
mod emulator;
mod fault;
mod keys;
mod logout;
mod pages;
mod parameters;
mod registration;
mod state;
#[cfg(test)]
mod tests;
mod token;

pub use emulator::{DEFAULT_TENANT_DOMAIN, DEFAULT_TENANT_ID, Tenant, TenantSettings};
pub use registration::{Client, Guest, Person, STAFF_GROUP};
