//! What holds for every request, whatever its route: a part of the route table, replaced with it.
//!
//! One swap for both, so that no request is ever judged by the routes of one configuration and
//! measured by the limits of another.

use http::HeaderValue;

use crate::config::{
    Config,
    listener::{Limits, TrustedProxies},
    session::SessionLifetime,
};

/// What holds for every request.
#[derive(Clone, Debug)]
pub(super) struct HouseRules {
    /// Our `Strict-Transport-Security`; `None` sends none.
    pub(super) hsts: Option<HeaderValue>,
    /// How much is taken from a client.
    pub(super) limits: Limits,
    /// How long a session lives that begins now.
    pub(super) session_lifetime: SessionLifetime,
    /// Fronts that are believed when they say for whom they speak.
    pub(super) trusted_proxies: TrustedProxies,
}

impl HouseRules {
    pub(super) fn of(config: &Config) -> Self {
        let hsts = config.listen.hsts.map(|age| {
            let promise = format!("max-age={}", age.as_secs());
            HeaderValue::try_from(promise).expect("letters, digits and a sign are visible ASCII")
        });
        Self {
            hsts,
            limits: config.limits.clone(),
            session_lifetime: config.session.max,
            trusted_proxies: config.listen.trusted_proxies.clone(),
        }
    }
}
