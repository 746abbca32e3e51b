//! Apps with several addresses: who gets a request, what becomes of one that fails, and who is out.

mod choice;
mod dying;
mod health;
mod repeats;

use std::{net::SocketAddr, time::Duration};

use crate::support::front::{Front, HOST, front};

/// `to` for these addresses.
fn to(addresses: &[SocketAddr]) -> String {
    let quoted = addresses.iter().map(|it| format!("\"http://{it}\""));
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

/// One route `wiki` to these addresses, for everybody who is signed in.
fn wiki_at(addresses: &[SocketAddr], rules: &str) -> Front {
    let rules = format!("allow = \"signed-in\"\n{rules}");
    front(|it| it.route_to("wiki", HOST, &rules, &to(addresses)))
}

/// Whether an address gets requests, as `/metrics` says.
fn is_up(front: &Front, address: SocketAddr) -> bool {
    let sample = "vestibule_upstream_up";
    front.metric(&format!(
        "{sample}{{route=\"wiki\",address=\"http://{address}\"}}"
    )) == 1
}

/// How often it went out.
fn ejections(front: &Front, address: SocketAddr) -> u64 {
    let sample = "vestibule_upstream_ejections_total";
    front.metric(&format!(
        "{sample}{{route=\"wiki\",address=\"http://{address}\"}}"
    ))
}

/// How long an address is out the first time.
const FIRST_OUT: Duration = Duration::from_secs(10);
