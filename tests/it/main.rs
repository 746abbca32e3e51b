//! Everything with a socket, and what holds for the crate as a whole: one binary, one module a topic.

// Helpers count as test code for clippy: they may unwrap.
#[cfg(test)]
mod accepting;
#[cfg(test)]
mod access_lines;
#[cfg(test)]
mod balancing;
#[cfg(test)]
mod bearer;
#[cfg(test)]
mod body_limits;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod client_address;
#[cfg(test)]
mod config;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod cross_site;
#[cfg(test)]
mod crowded;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod http2_conformance;
#[cfg(test)]
mod http2_floods;
#[cfg(test)]
mod identity_header;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod large_bodies;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod left_uploads;
#[cfg(test)]
mod login;
#[cfg(test)]
mod million_heads;
#[cfg(test)]
mod ops;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod path_prefixes;
#[cfg(test)]
mod plain_listener;
#[cfg(test)]
mod provider_down;
#[cfg(test)]
mod proxy_protocol;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod refused_lines;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod request_rules;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod return_paths;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod rows_elsewhere;
#[cfg(test)]
mod seldom;
#[cfg(test)]
mod session_lifetime;
#[cfg(test)]
mod session_store;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod sign_out;
#[cfg(test)]
mod slow_bodies;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_groups;
#[cfg(test)]
mod tls_tickets;
#[cfg(test)]
mod trailers;
#[cfg(test)]
mod upstream_connections;
#[cfg(test)]
mod upstream_distrust;
#[cfg(test)]
mod upstream_failure;
#[cfg(test)]
mod upstream_http2;
#[cfg(test)]
mod upstream_tls;
#[cfg(test)]
mod upstream_unix;
#[cfg(test)]
mod websocket;
