//! Everything with a socket, and what holds for the crate as a whole: one binary, one module a topic.

// Helpers count as test code for clippy: they may unwrap.
#[cfg(test)]
mod body_limits;
mod client_address;
mod config;
mod conformance;
mod connections;
mod cross_site;
mod floods;
mod identity_header;
mod invariants;
mod layering;
mod login;
mod ops;
mod panics;
mod provider_down;
mod readiness;
mod request_rules;
mod return_paths;
mod routing;
mod seldom;
mod session_lifetime;
mod session_store;
mod shutdown;
mod sign_out;
mod support;
mod tls;
mod tls_tickets;
mod upstream_distrust;
mod upstream_failure;
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
#[cfg(test)]
