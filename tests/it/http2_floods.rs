//! Floods of HTTP/2 frames against the program itself (threats 1.6): each ends its connection, makes no
//! work for the app and no mountain of memory, and a good client is served all along.
//!
//! The counts are small enough for every build; `VESTIBULE_FLOODS=full` in the environment sends as many
//! as the attacks did that these are named after.

mod frames;
mod heads;
mod mutations;
mod streams;
mod untaken;

use std::net::SocketAddr;

use crate::support::{
    client::raw_tls::{RawTls, raw_tls},
    clock,
    front::HOST,
    h2::{self, Ended, H2},
    issuer::{self, Issuer},
    pki::Alpn,
    process::{self, Process},
    upstream::{Echo, echo},
    vestibule::{self, Upstream},
    wire::{Protocol, Wire, wire},
};

/// By how much a flood may make the program grow. Far above what one connection may hold by its limits,
/// far below what a flood without limits leaves behind.
const MOST_GROWTH: u64 = 64 * 1024 * 1024;

/// RFC 9113 7.
const ENHANCE_YOUR_CALM: u8 = 11;

/// How many of something to send: `full` when asked for in the environment, `quick` otherwise.
fn count(quick: usize, full: usize) -> usize {
    let asked = std::env::var("VESTIBULE_FLOODS").is_ok_and(|it| it == "full");
    if asked { full } else { quick }
}

/// The program in front of a good app and another one, with a good client that stays.
struct Siege {
    process: Process,
    app: Echo,
    good: Wire,
    resident: u64,
    _idp: Issuer,
}

impl Siege {
    /// `/pub/*` leads to the good app, `/other/pub/*` to another.
    async fn begin() -> Self {
        Self::beside(&SocketAddr::from(([127, 0, 0, 1], 9))).await
    }

    async fn beside(other: &impl Upstream) -> Self {
        let idp = issuer::honest(&clock::manual()).entra().run();
        let app = echo().run();
        let rules = |path: &str| {
            let methods = "methods = [\"GET\", \"POST\"]";
            format!("allow = \"signed-in\"\n[[public]]\npath = \"{path}\"\n{methods}")
        };
        let built = vestibule::new()
            .route("wiki", HOST, &rules("/pub/*"), &app)
            .route(
                "other",
                &format!("{HOST}/other"),
                &rules("/other/pub/*"),
                other,
            )
            .entra(&idp)
            .main("[log]\naccess = \"off\"");
        let process = process::serve(built).await;
        let authority = format!("{HOST}:{}", process.built().port());
        let good = wire(raw(&process), authority, Protocol::Http2);
        let mut siege = Self {
            process,
            app,
            good,
            resident: 0,
            _idp: idp,
        };
        siege.good_client_is_served().await;
        siege.resident = siege.process.resident();
        siege
    }

    fn raw(&self) -> RawTls {
        raw(&self.process)
    }

    async fn attacker(&self) -> H2 {
        H2::over(&self.raw()).await
    }

    /// The field block of a request; more fields follow.
    fn head(&self, method: &str, path: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
        let authority = format!("{HOST}:{}", self.process.built().port());
        let mut fields: Vec<(&[u8], &[u8])> = vec![
            (b":method", method.as_bytes()),
            (b":scheme", b"https"),
            (b":path", path.as_bytes()),
            (b":authority", authority.as_bytes()),
        ];
        fields.extend_from_slice(more);
        h2::block(&fields)
    }

    async fn good_client_is_served(&mut self) {
        let reply = self.good.get("/pub/good").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// How many requests for this path the good app has had.
    fn asked(&self, path: &str) -> usize {
        let requests = self.app.requests();
        requests.iter().filter(|it| it.target == path).count()
    }

    /// The program has not grown, not panicked, and serves on.
    async fn ends_well(mut self) {
        self.good_client_is_served().await;
        let grown = self.process.resident().saturating_sub(self.resident);
        assert!(grown < MOST_GROWTH, "grown by {grown} bytes");
        let output = self.process.terminate().await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

fn raw(process: &Process) -> RawTls {
    let built = process.built();
    let address = ([127, 0, 0, 1], built.port()).into();
    raw_tls(address, HOST, built.pki()).offering(Alpn::H2, built.pki())
}

/// The connection was ended, and if that was said, for the right reason.
fn assert_calmed(ended: &Ended, what: &str) {
    assert!(ended.closed, "{what}: {ended:?}");
    let code = ended.goaway.unwrap_or(ENHANCE_YOUR_CALM);
    assert_eq!(code, ENHANCE_YOUR_CALM, "{what}: {ended:?}");
}

/// Odd numbers, as clients count streams.
fn stream_id(number: usize) -> u32 {
    u32::try_from(number * 2 + 1).expect("a small number")
}
