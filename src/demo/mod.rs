//! `vestibule demo`: an emulated Entra tenant and two legacy apps to try the whole thing with.
//!
//! Everything here binds loopback and nothing else, and nothing outside this folder (and the verb
//! that starts it) may use it: it is no part of what serves people. The tests use it as well.

pub mod apps;
pub mod certificate;
pub mod files;
mod folder;
mod introduction;
mod run;
mod server;
pub mod tenant;
mod text;

#[cfg(test)]
mod client;

pub use run::{Addresses, DEFAULT_PORT, Demo, DemoError, DemoSettings};
