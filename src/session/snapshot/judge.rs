//! Which sessions of an earlier process still count: by the hosts and providers there are now.
//!
//! Never knows a session's end; that is a matter of clocks alone.

use std::collections::HashSet;

use crate::{
    config::{Config, route::Authority},
    identity::{ProviderName, Standing},
};

/// The hosts that are configured now, with whose word counts there.
#[derive(Debug)]
pub struct Judge {
    sites: HashSet<(Authority, ProviderName, Standing)>,
}

impl Judge {
    /// Judges by this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let site = |route: &crate::config::route::Route| {
            let provider = config.provider(&route.provider)?;
            let authority = route.from.authority.clone();
            Some((authority, provider.name.clone(), provider.standing()))
        };
        Self {
            sites: config.routes.iter().filter_map(site).collect(),
        }
    }

    /// Whether the word of a provider still counts on a host, and the provider is still whom its
    /// people signed in at. Which routes the host has is looked at with every request.
    pub(super) fn admits(
        &self,
        authority: &Authority,
        provider: &ProviderName,
        standing: Standing,
    ) -> bool {
        let site = (authority.clone(), provider.clone(), standing);
        self.sites.contains(&site)
    }
}
