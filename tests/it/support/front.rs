//! A vestibule in front of apps, with a provider of the Entra shape behind it, in the few words
//! that most tests of the front door need.

use std::time::Duration;

use http::StatusCode;

use super::{
    PATIENCE,
    client::Browser,
    clock,
    issuer::{self, Issuer, Person},
    pki::Alpn,
    vestibule::{self, Builder, Upstream, Vestibule},
    wire::{Protocol, Wire, wire},
};

/// The host of most tests.
pub(crate) const HOST: &str = "wiki.example";

/// The name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "__Host-vestibule";

/// A running vestibule with its provider.
pub(crate) struct Front {
    pub(crate) idp: Issuer,
    pub(crate) vestibule: Vestibule,
}

/// Runs what `build` adds, without an access log; lines for `[listen]` may come first of all.
pub(crate) fn front(build: impl FnOnce(Builder) -> Builder) -> Front {
    let time = clock::manual();
    let idp = issuer::honest(&time).entra().run();
    let files = build(vestibule::at(&time)).entra(&idp);
    let vestibule = files.main("[log]\naccess = \"off\"").run();
    Front { idp, vestibule }
}

/// One route `wiki` for all of [`HOST`], open to everybody who is signed in; `rules` follow.
pub(crate) fn wiki(app: &impl Upstream, rules: &str) -> Front {
    let rules = format!("allow = \"signed-in\"\n{rules}");
    front(|it| it.route("wiki", HOST, &rules, app))
}

impl Front {
    /// A browser with a session of whoever signs in at the provider. No app is asked anything.
    pub(crate) async fn sign_in(&self, host: &str) -> Browser {
        self.provider_is_known(host).await;
        let mut browser = self.vestibule.browser();
        let login = "/.vestibule/login?return=/.vestibule/me";
        let trail = browser.follow(&self.vestibule.url(host, login), 4).await;
        let last = &trail[trail.len() - 1];
        assert_eq!(last.status, StatusCode::OK, "{trail:#?}");
        browser
    }

    /// The `Cookie` pair of a new session of `person`.
    pub(crate) async fn session_of(&self, host: &str, person: Person) -> String {
        self.idp.signs_in(person);
        self.session(host).await
    }

    /// The `Cookie` pair of a new session of whoever signs in.
    pub(crate) async fn session(&self, host: &str) -> String {
        let browser = self.sign_in(host).await;
        let url = self.vestibule.url(host, "/");
        let value = browser.cookie(&url, SESSION_COOKIE).unwrap();
        format!("{SESSION_COOKIE}={value}")
    }

    /// A client of `host` that names it in the handshake.
    pub(crate) fn wire(&self, protocol: Protocol, host: &str) -> Wire {
        let alpn = match protocol {
            Protocol::Http1 => Alpn::Http1,
            Protocol::Http2 => Alpn::H2,
        };
        let raw = self.vestibule.raw(host);
        let raw = raw.offering(alpn, self.vestibule.pki());
        wire(raw, self.vestibule.authority(host), protocol)
    }

    /// Waits until sign-ins can begin.
    pub(crate) async fn provider_is_known(&self, host: &str) {
        let login = self.vestibule.url(host, "/.vestibule/login");
        let polling = async {
            while self.vestibule.browser().view(&login).await.status != StatusCode::FOUND {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let known = tokio::time::timeout(PATIENCE, polling).await;
        assert!(known.is_ok(), "the provider did not become known");
    }

    /// How many faults of apps were counted, of whatever kind.
    pub(crate) fn upstream_failures(&self) -> u64 {
        let text = self.vestibule.metrics();
        let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
        samples
            .filter(|(name, _)| name.starts_with("vestibule_upstream_failures_total{"))
            .map(|(_, value)| value.parse::<u64>().unwrap())
            .sum()
    }

    /// The value of a sample of `/metrics`; zero if it is not there.
    pub(crate) fn metric(&self, sample: &str) -> u64 {
        let text = self.vestibule.metrics();
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines
            .find(|(name, _)| *name == sample)
            .map_or(0, |(_, value)| value.parse().unwrap())
    }
}
