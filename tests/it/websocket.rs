//! The WebSocket, over HTTP/1.1 and HTTP/2: who gets one, what crosses, and when it ends.

mod app;
mod client;
mod ends;
mod handshakes;
mod limits;
mod refused;

use crate::support::{
    front::{Front, HOST, front},
    wire::{PROTOCOLS, Protocol},
};

use self::{app::App, client::Hand};

/// A route for everybody who is signed in, with a part that is open to all.
const RULES: &str = "[[public]]\npath = \"/pub/*\"";

/// A vestibule before this app, and a session there.
async fn signed_in(app: &App, rules: &str) -> (Front, String) {
    let address = app.address();
    let rules = format!("{}allow = \"signed-in\"\n{RULES}", keys(rules));
    let front = front(|it| it.route("wiki", HOST, &rules, &address));
    let session = front.session(HOST).await;
    (front, session)
}

/// Keys of the route stand before its tables.
fn keys(rules: &str) -> String {
    if rules.is_empty() {
        String::new()
    } else {
        format!("{rules}\n")
    }
}

/// A handshake of somebody who is signed in.
fn hand(front: &Front, session: &str, path: &str) -> Hand {
    Hand::of(front, HOST, path).with("Cookie", session)
}
