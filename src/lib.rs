//! Vestibule: single sign-on in front of web apps that know nothing of it.

pub mod clock;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod identity;
pub mod key_ring;
pub mod listener;
pub mod oidc;
pub mod pages;
pub mod secret;
pub mod session;
pub mod telemetry;
pub mod upstream;
