//! Resolves the sections of the main file that are about the process itself: `[listen]`, `[session]`,
//! `[log]`, `[ops]`, `[state]`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
};

use super::{
    document::Document,
    finding::Finding,
    listener::{DEFAULT_GRACE, DEFAULT_HSTS, Listen, OVER_UNIX, TrustedProxies},
    schema::{RawListen, RawMain, RawSession},
    session::{DEFAULT_SESSION_CAPACITY, SessionLifetime, SessionLimits},
    spans::KeyPath,
    values::Fault,
};

/// Resolves `[listen]`.
pub(super) fn listen(raw: &RawListen, base: &Path) -> Listen {
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get().min(1024));
    Listen {
        https: raw.https.as_ref().map(|address| address.0),
        http: raw.http.as_ref().map(|address| address.0),
        plain: raw.plain.as_ref().map(|address| address.0.resolved(base)),
        workers: raw.workers.unwrap_or_else(cores),
        grace: raw.grace.as_ref().map_or(DEFAULT_GRACE, |grace| grace.0),
        hsts: raw
            .hsts
            .as_ref()
            .map_or(Some(DEFAULT_HSTS), |hsts| hsts.0.0),
        trusted_proxies: TrustedProxies(raw.trusted_proxies.iter().map(|of| of.0.0).collect()),
        proxy_protocol: raw.proxy_protocol,
    }
}

/// Whether certificates are needed: nobody asks for any where fronts end TLS and nothing else is
/// written.
pub(super) fn serves_tls(raw: &RawMain) -> bool {
    let is_for_fronts_alone = raw.listen.https.is_none() && raw.listen.plain.is_some();
    !is_for_fronts_alone || raw.tls.certificates.is_some()
}

/// Without an address it takes a socket that is handed over, which is known only once one is.
pub(super) fn address_is_written(
    document: &Document,
    raw: &RawListen,
    findings: &mut Vec<Finding>,
) {
    let https = KeyPath::of(&["listen", "https"]);
    let plain = KeyPath::of(&["listen", "plain"]);
    let is_faulty = [&https, &plain].iter().any(|key| document.is_faulty(key));
    if raw.https.is_none() && raw.plain.is_none() && !is_faulty {
        let fault = Fault::new(
            "the key is missing, and no socket is handed over here",
            "write an address, \"0.0.0.0:443\", unless `serve` is started from a socket unit",
        );
        findings.push(document.warning(&https, fault));
    }
}

/// Two listeners cannot have one address.
pub(super) fn addresses_differ(document: &Document, raw: &RawMain, findings: &mut Vec<Finding>) {
    let plain = raw.listen.plain.as_ref().and_then(|of| of.0.tcp());
    let listeners: [(&[&str], Option<SocketAddr>); 4] = [
        (
            &["listen", "https"],
            raw.listen.https.as_ref().map(|of| of.0),
        ),
        (&["listen", "http"], raw.listen.http.as_ref().map(|of| of.0)),
        (&["listen", "plain"], plain),
        (&["ops", "listen"], raw.ops.listen.as_ref().map(|of| of.0)),
    ];
    for (index, (path, address)) in listeners.iter().enumerate() {
        let taken = listeners.iter().take(index).find(|(_, other)| {
            other.zip(*address).is_some_and(|(other, address)| {
                let overlap = other.ip() == address.ip()
                    || other.ip().is_unspecified()
                    || address.ip().is_unspecified();
                address.port() != 0 && other.port() == address.port() && overlap
            })
        });
        if let Some((other, _)) = taken {
            let other = KeyPath::of(other);
            let fault = Fault::new(
                format!("the port is taken by `{other}`"),
                "write another port, or an address of its own for each",
            );
            findings.push(document.error(&KeyPath::of(path), fault));
        }
    }
}

/// A PROXY header is believed from named fronts alone.
pub(super) fn fronts_are_named(document: &Document, raw: &RawListen, findings: &mut Vec<Finding>) {
    let proxies = KeyPath::of(&["listen", "trusted_proxies"]);
    if raw.proxy_protocol && raw.trusted_proxies.is_empty() && !document.is_faulty(&proxies) {
        let fault = Fault::new(
            "a PROXY header is believed only from `listen.trusted_proxies`, and nobody is there",
            "write the addresses of the fronts as trusted_proxies, or leave proxy_protocol out",
        );
        findings.push(document.error(&KeyPath::of(&["listen", "proxy_protocol"]), fault));
    }
}

/// The listener without TLS of its own is for fronts: whoever else could reach it is let in by nobody,
/// and a front that is not believed speaks for itself alone.
pub(super) fn plain_is_for_fronts(
    document: &Document,
    listen: &Listen,
    findings: &mut Vec<Finding>,
) {
    let Some(plain) = &listen.plain else {
        return;
    };
    let key = KeyPath::of(&["listen", "plain"]);
    if plain.is_too_long() {
        let fault = Fault::new(
            format!("{plain} is longer than the path of a socket can be"),
            "write a shorter one, \"unix:/run/vestibule/front.sock\"",
        );
        findings.push(document.error(&key, fault));
    }
    let proxies = KeyPath::of(&["listen", "trusted_proxies"]);
    if document.is_faulty(&proxies) {
        return;
    }
    let believed = &listen.trusted_proxies;
    let is_of_this_machine = plain.tcp().is_none_or(|it| it.ip().is_loopback());
    let address = plain.tcp().map_or(OVER_UNIX, |it| it.ip());
    if !is_of_this_machine && believed.0.is_empty() {
        let fault = Fault::new(
            "it serves only this machine and `listen.trusted_proxies`, and nobody is there",
            "write the addresses of the fronts as trusted_proxies, or \"127.0.0.1:port\" here",
        );
        findings.push(document.error(&key, fault));
    } else if is_of_this_machine && !believed.contains(address) {
        let fault = Fault::new(
            format!(
                "a front at {address} is not in `listen.trusted_proxies`, so apps and the log take it \
                 for the client, whatever it says in X-Forwarded-For"
            ),
            format!("write trusted_proxies = [\"{address}\"]"),
        );
        findings.push(document.warning(&key, fault));
    }
}

/// Resolves `[session]`.
pub(super) fn session(
    document: &Document,
    raw: &RawSession,
    findings: &mut Vec<Finding>,
) -> SessionLimits {
    let max = raw.max.as_ref().map(|max| SessionLifetime::new(max.0));
    if max == Some(None) {
        let fault = Fault::new(
            "a session lives longer than nothing and at most 24 hours; that limit is a constant",
            "write a duration up to \"24h\"",
        );
        findings.push(document.error(&KeyPath::of(&["session", "max"]), fault));
    }
    SessionLimits {
        max: max.flatten().unwrap_or_default(),
        capacity: raw.capacity.unwrap_or(DEFAULT_SESSION_CAPACITY),
    }
}

/// Resolves `[state] dir`.
pub(super) fn state_dir(raw: &RawMain, base: &Path) -> PathBuf {
    let dir = raw.state.dir.as_ref().map(|dir| dir.0.0.as_path());
    base.join(dir.unwrap_or(Path::new("state")))
}
