//! One provider as the rest of the crate uses it: where to send a browser, and who came back.
//!
//! Sending a browser off does no I/O and costs no fetch, also while the provider is out of reach;
//! metadata and keys are fetched by [`RelyingParty::keep_fresh`] (and keys for an unknown key id).

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use openidconnect::core::CoreJwsSigningAlgorithm;
use thiserror::Error;
use tokio::{runtime::Handle, time::timeout};
use url::Url;

use super::{
    authorization::{self, AuthorizationRequest, LogoutRequest, OidcClient},
    error::{AnswerIssuerError, ProviderUnavailable, SignInError},
    fetch_budget::FetchBudget,
    http_client::{HttpClient, Reach},
    id_token::{IdTokenError, Judge},
    jwks::{KeyRing, algorithm_name},
    provider::{Metadata, issuer_url, metadata_url},
    token::{self, Tokens},
};
use crate::{
    clock::{Clock, Moment},
    config::provider::{Provider, ProviderKind},
    identity::{ClaimRules, Identity, ProviderName, Standing},
    secret::Secret,
    trust::TrustError,
};

/// How long a browser that came back may have to wait in all.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(25);

/// A provider that cannot even be asked.
#[derive(Debug, Error)]
pub enum SetupError {
    /// An algorithm that we never believe, or cannot verify.
    #[error("failed to use an algorithm that is configured for ID tokens")]
    Algorithm,
    /// The issuer is no URL with `https` (or `http` on this host) and without query.
    #[error(
        "failed to use the configured issuer: it is neither an https URL nor http on this host"
    )]
    Issuer,
    /// No roots to trust.
    #[error("failed to set up whom to trust")]
    Trust(#[from] TrustError),
}

/// Whether people can be sent to the provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProviderStatus {
    /// Metadata and keys are known.
    Ready,
    /// They are not; signing in has to wait.
    Waiting {
        /// When it is tried next; at least a second.
        retry_after: Duration,
        /// Why it failed last; empty before the first attempt has ended.
        last_error: String,
    },
}

/// What the caller remembered of a sign-in.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The redirect URI of the authorization request.
    pub redirect_uri: String,
    /// Its nonce.
    pub nonce: Secret,
    /// Its PKCE verifier.
    pub pkce_verifier: Secret,
}

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// The ID token as it came, where the provider's end of session asks for it. Entra ID does not:
    /// there [`Identity::login_hint`] serves.
    pub id_token_hint: Option<Secret>,
}

/// One provider: its metadata and keys, and the requests we make of it.
pub struct RelyingParty {
    pub(super) provider: Provider,
    standing: Standing,
    pub(super) clock: Clock,
    pub(super) http: HttpClient,
    /// Where its metadata lies.
    pub(super) metadata_url: Url,
    /// What is known; only ever replaced by something that passed every check.
    pub(super) known: ArcSwapOption<Known>,
    /// Held by whoever fetches metadata or keys.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// How many fetches have ended, well or badly.
    pub(super) fetches: AtomicU64,
    pub(super) budget: FetchBudget,
    /// Where it is kept fresh, once it is.
    pub(super) home: OnceLock<Handle>,
    /// Nobody signs in there: its keys are all that counts.
    pub(super) is_key_source: bool,
    pub(super) trouble: Mutex<Trouble>,
}

/// What is known of a provider.
pub(super) struct Known {
    pub(super) site: Arc<Site>,
    pub(super) keys: KeyRing,
}

/// The provider's endpoints, ready to use.
pub(super) struct Site {
    pub(super) metadata: Metadata,
    pub(super) client: OidcClient,
    /// Where its endpoints may be: on a private address only if the issuer is.
    pub(super) reach: Reach,
}

/// Why nothing is known yet.
pub(super) struct Trouble {
    pub(super) last_error: String,
    /// When the next attempt begins, counted from `since`.
    pub(super) retry_in: Duration,
    pub(super) since: Moment,
}

/// Names the provider and nothing else.
impl std::fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelyingParty")
            .field("provider", &self.provider.name)
            .finish_non_exhaustive()
    }
}

impl RelyingParty {
    /// Takes the provider on; reads root certificates, touches no network.
    ///
    /// # Errors
    /// Returns [`SetupError`] if the issuer, an algorithm or the `ca_file` cannot be used.
    pub fn new(provider: Provider, clock: Clock) -> Result<Arc<Self>, SetupError> {
        let issuer = issuer_url(&provider.kind).ok_or(SetupError::Issuer)?;
        let http = HttpClient::new(provider.ca_file.as_deref(), issuer.scheme() == "https")?;
        Self::with_http(provider, clock, http)
    }

    /// An issuer of access tokens alone: its metadata need not offer to sign anybody in.
    ///
    /// # Errors
    /// Returns [`SetupError`] if the issuer cannot be used.
    pub fn for_keys(
        name: ProviderName,
        kind: ProviderKind,
        clock: Clock,
    ) -> Result<Arc<Self>, SetupError> {
        let issuer = issuer_url(&kind).ok_or(SetupError::Issuer)?;
        let http = HttpClient::new(None, issuer.scheme() == "https")?;
        let provider = Provider {
            name,
            kind,
            client_id: String::new(),
            client_secret: Secret::new(String::new()),
            scopes: Vec::new(),
            algorithms: vec![
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            ],
            ca_file: None,
        };
        Self::build(provider, clock, http, true)
    }

    pub(super) fn with_http(
        provider: Provider,
        clock: Clock,
        http: HttpClient,
    ) -> Result<Arc<Self>, SetupError> {
        Self::build(provider, clock, http, false)
    }

    fn build(
        provider: Provider,
        clock: Clock,
        http: HttpClient,
        is_key_source: bool,
    ) -> Result<Arc<Self>, SetupError> {
        issuer_url(&provider.kind).ok_or(SetupError::Issuer)?;
        let metadata_url = metadata_url(&provider.kind).ok_or(SetupError::Issuer)?;
        let known = |algorithm| algorithm_name(algorithm).is_some();
        if provider.algorithms.is_empty() || !provider.algorithms.iter().all(known) {
            return Err(SetupError::Algorithm);
        }
        let now = clock.now();
        Ok(Arc::new(Self {
            standing: provider.standing(),
            provider,
            http,
            metadata_url,
            known: ArcSwapOption::empty(),
            turn: tokio::sync::Mutex::new(()),
            fetches: AtomicU64::new(0),
            budget: FetchBudget::new(now),
            home: OnceLock::new(),
            is_key_source,
            trouble: Mutex::new(Trouble {
                last_error: String::new(),
                retry_in: Duration::ZERO,
                since: now,
            }),
            clock,
        }))
    }

    /// Takes over what `previous` knows, so that a new secret or scope needs no new discovery.
    ///
    /// Does nothing unless issuer, tenants and trust are the same. For use before this one is shared.
    pub fn inherit(&self, previous: &Self) {
        let own = &self.provider;
        if own.kind != previous.provider.kind || !self.trusts_as(previous) {
            return;
        }
        if let Some(known) = previous.known.load_full() {
            let metadata = known.site.metadata.clone();
            let site = Arc::new(Site {
                client: authorization::client(own, &metadata),
                metadata,
                reach: known.site.reach,
            });
            let keys = known.keys.clone();
            self.known.store(Some(Arc::new(Known { site, keys })));
        }
    }

    /// Whether it trusts the roots that `other` trusts: a `ca_file` may have changed under its name.
    #[must_use]
    pub fn trusts_as(&self, other: &Self) -> bool {
        self.http.further_roots == other.http.further_roots
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.provider.name
    }

    /// What sessions stand on that begin now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether people can be sent to it.
    #[must_use]
    pub fn status(&self) -> ProviderStatus {
        if self.known.load().is_some() {
            return ProviderStatus::Ready;
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        ProviderStatus::Waiting {
            retry_after: trouble.remaining(self.clock.now()),
            last_error: trouble.last_error.clone(),
        }
    }

    /// The URL that starts a sign-in. No I/O.
    ///
    /// # Errors
    /// Returns [`ProviderUnavailable`] if the provider is not known yet; also if `redirect_uri` is no
    /// URL or the verifier is not 43 to 128 characters long, which are mistakes of the caller.
    pub fn authorization_request(
        &self,
        request: &AuthorizationRequest<'_>,
    ) -> Result<Url, ProviderUnavailable> {
        let known = self.known()?;
        authorization::authorization_url(&known.site.client, &self.provider, request)
            .ok_or_else(|| self.unavailable())
    }

    /// Judges the `iss` parameter of an authorization answer; before the code is used.
    ///
    /// # Errors
    /// Returns [`AnswerIssuerError`] if it names another issuer, if it is absent although the
    /// provider announces it, or if the provider is not known yet.
    pub fn answer_issuer(&self, issuer: Option<&str>) -> Result<(), AnswerIssuerError> {
        let metadata = &self.known()?.site.metadata;
        match issuer {
            Some(issuer) if metadata.issuer.admits_answer(issuer) => Ok(()),
            Some(_) => Err(AnswerIssuerError::Foreign),
            None if metadata.answers_name_issuer => Err(AnswerIssuerError::Missing),
            None => Ok(()),
        }
    }

    /// Exchanges a code and says who came in. The token request is sent once at most.
    ///
    /// Takes less than 30 s whatever the provider does; may be dropped at any time.
    ///
    /// # Errors
    /// Returns [`SignInError`] if the exchange fails or the ID token fails any check.
    pub async fn redeem(
        &self,
        code: &Secret,
        expected: &Expected,
    ) -> Result<SignedIn, SignInError> {
        timeout(SIGN_IN_TIMEOUT, self.redeem_unhurried(code, expected))
            .await
            .unwrap_or(Err(SignInError::TooSlow))
    }

    /// The URL that ends the provider's own session; `None` if it offers none or is not known yet.
    #[must_use]
    pub fn end_session_url(&self, request: &LogoutRequest<'_>) -> Option<Url> {
        let known = self.known.load_full()?;
        let client_id = &self.provider.client_id;
        authorization::end_session_url(client_id, &known.site.metadata, request)
    }

    async fn redeem_unhurried(
        &self,
        code: &Secret,
        expected: &Expected,
    ) -> Result<SignedIn, SignInError> {
        let site = Arc::clone(&self.known()?.site);
        let tokens = token::exchange(&site.client, &self.http, site.reach, code, expected).await?;
        let fetches = self.fetches();
        // Loaded anew: the keys may have been fetched while the exchange was under way.
        let known = self.known()?;
        let claims = match self.judge(&known, &tokens, expected) {
            // A key that is new, or new under an old id: asked for once, within the budget.
            Err(error @ (IdTokenError::UnknownKey | IdTokenError::Signature)) => {
                let fresh = self.keys_fetched_since(fetches).await.ok_or(error)?;
                self.judge(&fresh, &tokens, expected)?
            }
            judged => judged?,
        };
        let rules = match self.provider.kind {
            ProviderKind::Entra { .. } => ClaimRules::Entra,
            ProviderKind::Oidc { .. } => ClaimRules::Oidc,
        };
        let wants_hint = rules == ClaimRules::Oidc && site.metadata.end_session_endpoint.is_some();
        Ok(SignedIn {
            identity: Identity::from_verified_claims(self.provider.name.clone(), rules, &claims)?,
            id_token_hint: wants_hint.then_some(tokens.id_token),
        })
    }

    fn judge(
        &self,
        known: &Known,
        tokens: &Tokens,
        expected: &Expected,
    ) -> Result<serde_json::Map<String, serde_json::Value>, IdTokenError> {
        let judge = Judge {
            provider: &self.provider,
            issuer: &known.site.metadata.issuer,
            cloud: known.site.metadata.cloud.as_deref(),
            keys: &known.keys,
            now: self.clock.now(),
        };
        judge.verified_claims(
            tokens.id_token.expose(),
            &tokens.access_token,
            &expected.nonce,
        )
    }

    /// How many fetches have ended so far.
    pub(super) fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Acquire)
    }

    pub(super) fn known(&self) -> Result<Arc<Known>, ProviderUnavailable> {
        self.known.load_full().ok_or_else(|| self.unavailable())
    }

    fn unavailable(&self) -> ProviderUnavailable {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        ProviderUnavailable {
            retry_after: trouble.remaining(self.clock.now()),
        }
    }
}

impl Trouble {
    fn remaining(&self, now: Moment) -> Duration {
        self.retry_in
            .saturating_sub(now.elapsed_since(self.since))
            .max(Duration::from_secs(1))
    }
}
