//! Fetches metadata and keys: until it works, then every hour, and once more for an unknown key.
//!
//! A broken answer never replaces what is known, and a request of a browser never causes more than
//! the [`FetchBudget`](super::fetch_budget) allows. One fetch at a time; others wait for it.
//! Source: OIDC Discovery 4, OIDC Core 10.1.1, `entra.md` 1.3.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    address, authorization,
    http_client::Reach,
    jwks::{KeyRing, KeySet},
    provider::{DiscoveryError, MAX_DOCUMENT_BYTES, Metadata, REFRESH_INTERVAL, foreign_issuer},
    relying_party::{Known, RelyingParty, Site},
};
use crate::{secret::random_bytes, telemetry::chain};

/// The first pause after a failed attempt, and the shortest.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause between failed attempts.
const LAST_RETRY: Duration = Duration::from_secs(30);

impl RelyingParty {
    /// Keeps metadata and keys fresh for as long as it is polled; never returns.
    ///
    /// The first attempt begins at once. A failed one is repeated after 1 s, then after twice as
    /// long each time up to 30 s, give or take a quarter; a good one after an hour.
    pub async fn keep_fresh(self: Arc<Self>) {
        // Whoever asks first, after a fault as well, is kept in the same place.
        let _ = self.home.set(Handle::current());
        let mut failures = 0;
        loop {
            let pause = match self.refresh().await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(provider = %self.name(), "the provider answers again");
                    }
                    failures = 0;
                    jittered(REFRESH_INTERVAL)
                }
                Err(error) => {
                    let pause = retry_pause(failures);
                    failures = failures.saturating_add(1);
                    self.note(&error, pause);
                    pause
                }
            };
            self.clock.sleep(pause).await;
        }
    }

    /// Fetches metadata and keys; what is known is replaced only if both pass.
    pub(super) async fn refresh(&self) -> Result<(), DiscoveryError> {
        let _turn = self.turn.lock().await;
        let refreshed = self.refreshed().await;
        self.fetches.fetch_add(1, Ordering::AcqRel);
        self.known.store(Some(Arc::new(refreshed?)));
        Ok(())
    }

    /// The same as [`Self::keys_fetched_since`], where this provider is kept fresh: neither does the
    /// thread of a request take part, nor does a client that goes away waste what the budget gave.
    pub(super) async fn fetch_keys_apart(self: &Arc<Self>, before: u64) -> Option<Arc<Known>> {
        let Some(home) = self.home.get() else {
            return self.keys_fetched_since(before).await;
        };
        let party = Arc::clone(self);
        let fetching = home.spawn(async move { party.keys_fetched_since(before).await });
        fetching.await.ok().flatten()
    }

    /// What is known after the keys were fetched again, if anybody was allowed to.
    ///
    /// Whoever has to wait for a fetch of somebody else, or comes after one that ended since
    /// `before` were counted, makes do with its outcome.
    pub(super) async fn keys_fetched_since(&self, before: u64) -> Option<Arc<Known>> {
        let _turn = self.turn.lock().await;
        let known = self.known.load_full()?;
        if self.fetches.load(Ordering::Acquire) != before {
            return Some(known);
        }
        if !self.budget.take(self.clock.now()) {
            return None;
        }
        let keys = self.fetched_keys(&known.site, &known.keys).await;
        self.fetches.fetch_add(1, Ordering::AcqRel);
        match keys {
            Ok(keys) => {
                let site = Arc::clone(&known.site);
                let fresh = Arc::new(Known { site, keys });
                self.known.store(Some(Arc::clone(&fresh)));
                Some(fresh)
            }
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(provider = %self.name(), error, "an unknown key was asked for in vain");
                None
            }
        }
    }

    async fn refreshed(&self) -> Result<Known, DiscoveryError> {
        let answer = self
            .http
            .get(&self.metadata_url, Reach::Anywhere, MAX_DOCUMENT_BYTES)
            .await
            .map_err(DiscoveryError::Fetch)?;
        let reach = if address::is_public(answer.peer) {
            Reach::PublicOnly
        } else {
            Reach::Anywhere
        };
        let document = answer.into_success().map_err(DiscoveryError::Answer)?;
        let metadata = if self.is_key_source {
            Metadata::check_for_keys(&self.provider.kind, document)?
        } else {
            Metadata::check(&self.provider.kind, &document)?
        };
        let before = self.known.load_full();
        if let Some(before) = &before {
            // The tenant behind a domain name, once seen, stays the tenant.
            let pinned = before.site.metadata.issuer.metadata_issuer();
            let found = metadata.issuer.metadata_issuer();
            if pinned != found {
                return Err(foreign_issuer(pinned, found));
            }
        }
        let site = Arc::new(Site {
            client: authorization::client(&self.provider, &metadata),
            metadata,
            reach,
        });
        let none = KeyRing::default();
        let older = before.as_ref().map_or(&none, |before| &before.keys);
        let keys = self.fetched_keys(&site, older).await?;
        Ok(Known { site, keys })
    }

    async fn fetched_keys(&self, site: &Site, older: &KeyRing) -> Result<KeyRing, DiscoveryError> {
        let document = self
            .http
            .get(&site.metadata.jwks_uri, site.reach, MAX_DOCUMENT_BYTES)
            .await
            .map_err(DiscoveryError::KeyFetch)?
            .into_success()
            .map_err(DiscoveryError::KeyAnswer)?;
        let set = KeySet::parse(&document).map_err(DiscoveryError::KeySet)?;
        Ok(older.merged_with(set, self.clock.now()))
    }

    fn note(&self, error: &DiscoveryError, retry_in: Duration) {
        let error = chain(error);
        tracing::warn!(
            provider = %self.name(), url = %self.metadata_url, error, retry_in = ?retry_in,
            "failed to refresh what is known of the provider; if it answers with 400 or 404, look at \
             tenant, endpoint or issuer in its section"
        );
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.last_error = error;
        trouble.retry_in = retry_in;
        trouble.since = self.clock.now();
    }
}

/// The pause after so many failures in a row before this one.
fn retry_pause(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    jittered(doubled.min(LAST_RETRY)).clamp(FIRST_RETRY, LAST_RETRY)
}

/// Between three and five quarters of `pause`, so that many hosts do not come at the same time.
fn jittered(pause: Duration) -> Duration {
    let share = u32::from(u16::from_be_bytes(random_bytes::<2>()));
    (pause / 4) * 3 + (pause / 2) / u32::from(u16::MAX) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_one_second_to_thirty() {
        let mut longest = Duration::ZERO;
        for failures in [0, 1, 2, 3, 4, 5, 31, 32, 33, u32::MAX] {
            let pause = retry_pause(failures);
            assert!((FIRST_RETRY..=LAST_RETRY).contains(&pause), "{failures}");
            longest = longest.max(pause);
        }
        assert!(retry_pause(0) <= Duration::from_millis(1250));
        assert!(longest >= Duration::from_secs(22));
    }
}
