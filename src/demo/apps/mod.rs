//! Two small legacy apps that know nothing of sign-in but a header: a wiki and an order entry.
//!
//! They believe that header, as such apps do, and so must never be reachable but through vestibule
//! (here: on loopback). They keep no session and remember nothing.

mod app;
mod orders;
mod page;
mod visitor;
mod wiki;

pub use app::{App, AppSettings};
