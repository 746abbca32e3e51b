//! Access tokens, one fault at a time.

mod entra;
mod keys;

use std::sync::Arc;

use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde_json::{Value, json};

use super::{
    super::{
        access_token::{AccessTokens, VerifiedToken},
        relying_party::RelyingParty,
    },
    support::*,
};
use crate::{
    clock::{Deadline, ManualClock},
    config::bearer::{Bearer, BearerIssuer, KeySource},
    identity::ProviderName,
};

const AUDIENCE: &str = "api://orders";
const APP: &str = "d0000000-0000-4000-8000-00000000000d";

/// A provider, what is known of it, and the rules of a route.
struct Bench {
    fake: FakeProvider,
    clock: ManualClock,
    party: Arc<RelyingParty>,
    rules: Bearer,
}

impl Bench {
    /// A provider of the generic shape.
    async fn oidc() -> Self {
        let fake = FakeProvider::start().await;
        Self::over(fake.provider(), fake).await
    }

    /// Entra ID's shape, for one tenant or for a list.
    async fn entra(listed: &[&str]) -> Self {
        let fake = FakeProvider::start().await;
        let authority = |tenant: &str| format!("{}/{tenant}/v2.0", fake.issuer());
        let (own, named) = if listed.is_empty() {
            (authority(TENANT), authority(TENANT))
        } else {
            (authority("organizations"), authority("{tenantid}"))
        };
        let metadata = with(fake.metadata(), &json!({ "issuer": named }));
        let path = own.strip_prefix(&fake.issuer()).unwrap();
        fake.say(
            &format!("{path}/.well-known/openid-configuration"),
            Say::json(&metadata),
        );
        let mut provider = provider(entra(&own, listed));
        provider.name = ProviderName("entra".to_owned());
        Self::over(provider, fake).await
    }

    async fn over(provider: crate::config::provider::Provider, fake: FakeProvider) -> Self {
        let clock = clock();
        let rules = Bearer {
            issuers: vec![BearerIssuer {
                issuer: None,
                keys: KeySource::Provider(provider.name.clone()),
            }],
            audiences: vec![AUDIENCE.to_owned(), "another of ours".to_owned()],
            roles: vec!["Sync".to_owned()],
            scopes: vec!["read".to_owned()],
            clients: Vec::new(),
        };
        let party = relying_party_of(provider, &clock);
        party.refresh().await.unwrap();
        Self {
            fake,
            clock,
            party,
            rules,
        }
    }

    fn tokens(&self) -> AccessTokens {
        AccessTokens::new(&self.rules, |_| Some(Arc::clone(&self.party))).unwrap()
    }

    /// A token of an app that acts for a person, in the shape of the provider.
    fn claims(&self, changes: &Value) -> Value {
        let usual = json!({
            "iss": self.fake.issuer(), "sub": "ann", "aud": AUDIENCE, "exp": NOW + 3600, "iat": NOW,
            "nbf": NOW, "azp": APP, "scope": "read write",
        });
        with(usual, changes)
    }

    fn entra_claims(&self, changes: &Value) -> Value {
        let own = json!({
            "iss": format!("{}/{TENANT}/v2.0", self.fake.issuer()), "tid": TENANT, "oid": OBJECT,
            "ver": "2.0", "scope": "REMOVE", "scp": "read",
        });
        with(self.claims(&own), changes)
    }

    fn app_claims(&self, changes: &Value) -> Value {
        let own = json!({"scp": "REMOVE", "sub": OBJECT, "roles": ["Sync"]});
        with(self.entra_claims(&own), changes)
    }

    async fn verify(&self, token: &str) -> Result<VerifiedToken, &'static str> {
        let verified = self.tokens().verify(token).await;
        verified.map_err(|error| error.reason())
    }

    async fn verdict(&self, token: &str) -> &'static str {
        self.verify(token)
            .await
            .map_or_else(|it| it, |_| "accepted")
    }
}

#[tokio::test]
async fn claims_of_another_shape_or_value_refuse_the_token() {
    let bench = Bench::oidc().await;
    for (changes, verdict) in [
        (json!({}), "accepted"),
        // S-168, S-122
        (json!({"iss": "https://evil.example"}), "wrong_issuer"),
        (
            json!({"iss": format!("{}/", bench.fake.issuer())}),
            "wrong_issuer",
        ),
        (json!({"iss": [bench.fake.issuer()]}), "malformed_claim"),
        (json!({"iss": "REMOVE"}), "malformed_claim"),
        (json!({"sub": "REMOVE"}), "malformed_claim"),
        (json!({"sub": ""}), "malformed_claim"),
        (json!({"sub": 7}), "malformed_claim"),
        // S-169, RFC 8725 3.9
        (json!({"aud": "another of ours"}), "accepted"),
        (json!({"aud": [AUDIENCE]}), "accepted"),
        (json!({"aud": [AUDIENCE, "another of ours"]}), "accepted"),
        (
            json!({"aud": [AUDIENCE, "of somebody else"]}),
            "wrong_audience",
        ),
        (
            json!({"aud": ["of somebody else", AUDIENCE]}),
            "wrong_audience",
        ),
        (json!({"aud": "api://orders/"}), "wrong_audience"),
        (json!({"aud": "API://orders"}), "wrong_audience"),
        (json!({"aud": CLIENT}), "wrong_audience"),
        (json!({"aud": [AUDIENCE, 7]}), "wrong_audience"),
        (json!({"aud": [[AUDIENCE]]}), "wrong_audience"),
        (json!({"aud": {"a": AUDIENCE}}), "wrong_audience"),
        (json!({"aud": []}), "wrong_audience"),
        (json!({"aud": "REMOVE"}), "wrong_audience"),
        // S-173, S-063
        (json!({"exp": NOW - 59}), "accepted"),
        (json!({"exp": NOW - 60}), "expired_token"),
        (json!({"exp": "REMOVE"}), "malformed_claim"),
        (json!({"exp": (NOW + 60).to_string()}), "malformed_claim"),
        (json!({"exp": null}), "malformed_claim"),
        (json!({"exp": -1}), "malformed_claim"),
        (json!({"exp": 1e300}), "malformed_claim"),
        (json!({"exp": NOW + 86_400}), "accepted"),
        (json!({"exp": NOW + 86_401}), "lives_too_long"),
        (
            json!({"exp": NOW + 60, "iat": NOW - 86_400}),
            "lives_too_long",
        ),
        (json!({"iat": "REMOVE"}), "malformed_claim"),
        (json!({"iat": NOW + 60}), "accepted"),
        (json!({"iat": NOW + 61}), "issued_in_future"),
        (json!({"iat": NOW - 80_000}), "accepted"),
        (json!({"nbf": "REMOVE"}), "accepted"),
        (json!({"nbf": NOW + 60}), "accepted"),
        (json!({"nbf": NOW + 61}), "not_yet_valid"),
        (json!({"nbf": "soon"}), "malformed_claim"),
        // S-060: tokens of other kinds
        (json!({"nonce": "n"}), "not_an_access_token"),
        (json!({"nonce": null}), "not_an_access_token"),
        (json!({"at_hash": "x"}), "not_an_access_token"),
        (json!({"c_hash": "x"}), "not_an_access_token"),
        (json!({"events": {}}), "not_an_access_token"),
        // RFC 7800, RFC 9449 7.1
        (json!({"cnf": {"jkt": "x"}}), "sender_constrained"),
        // Spellings that another parser could take for the claim itself.
        (json!({"AUD": "x"}), "duplicate_claim"),
        (json!({"Scope": "admin"}), "duplicate_claim"),
        (json!({"Roles": ["admin"], "roles": []}), "duplicate_claim"),
        // Who stands behind it.
        (json!({"scope": "REMOVE"}), "holder_unclear"),
        (json!({"scope": ["read"]}), "malformed_claim"),
        (json!({"scope": 7}), "malformed_claim"),
        (json!({"azp": "REMOVE"}), "accepted"),
        (json!({"azp": 7}), "malformed_claim"),
        (json!({"client_id": "another"}), "malformed_claim"),
        (json!({"roles": "Sync"}), "unusable_claims"),
    ] {
        let token = token(&bench.claims(&changes));
        assert_eq!(bench.verdict(&token).await, verdict, "{changes}");
    }
}

#[tokio::test]
async fn headers_of_another_kind_refuse_the_token() {
    // S-171, RFC 8725 3.1, 3.11
    let bench = Bench::oidc().await;
    let payload = bench.claims(&json!({})).to_string();
    let odd = "unacceptable_header";
    for (changes, verdict) in [
        (json!({}), "accepted"),
        (json!({"kid": "REMOVE"}), "accepted"),
        (json!({"typ": "at+jwt"}), "accepted"),
        (json!({"typ": "application/AT+JWT"}), "accepted"),
        (json!({"typ": "jwt"}), "accepted"),
        (json!({"jwk": rsa_jwk(1, "one")}), "accepted"),
        (
            json!({"jku": "https://evil", "x5u": "https://evil"}),
            "accepted",
        ),
        (json!({"typ": "logout+jwt"}), odd),
        (json!({"typ": "dpop+jwt"}), odd),
        (json!({"typ": 7}), odd),
        (json!({"crit": []}), odd),
        (json!({"crit": ["exp"], "exp": 1}), odd),
        (json!({"b64": false}), odd),
        (json!({"b64": true}), odd),
        (json!({"zip": "DEF"}), odd),
        (json!({"cty": "JWT"}), odd),
        (json!({"enc": "A128GCM"}), odd),
        (json!({"kid": 7}), odd),
        (json!({"kid": "k".repeat(2000)}), odd),
        (json!({"kid": "k".repeat(65_536)}), "malformed_token"),
        (json!({"kid": "../../one"}), "unknown_key"),
    ] {
        let header = with(json!({"alg": "RS256", "kid": "one"}), &changes);
        let token = sign_raw(&header.to_string(), &payload, "RS256", 0);
        let shown = changes.to_string();
        assert_eq!(bench.verdict(&token).await, verdict, "{shown:.200}");
    }
}

#[tokio::test]
async fn only_configured_algorithms_count() {
    // S-170, RFC 8725 3.1, 3.2
    let bench = Bench::oidc().await;
    let payload = bench.claims(&json!({})).to_string();
    for (algorithm, how) in [
        (json!("none"), "RS256"),
        (json!("nOnE"), "RS256"),
        (json!("HS256"), "RS256"),
        (json!("rs256"), "RS256"),
        (json!("RS512"), "RS512"),
        (json!("PS256"), "PS256"),
        (json!("ES256"), "ES256"),
        (json!(["RS256"]), "RS256"),
        (json!("REMOVE"), "RS256"),
    ] {
        let header = with(json!({"kid": "one"}), &json!({ "alg": algorithm }));
        let token = sign_raw(&header.to_string(), &payload, how, 0);
        assert_eq!(
            bench.verdict(&token).await,
            "algorithm_not_allowed",
            "{header}"
        );
    }
}

#[tokio::test]
async fn configured_algorithms_count_with_keys_of_their_type() {
    let fake = FakeProvider::start().await;
    let mut provider = fake.provider();
    provider.algorithms = vec![Algorithm::RsaSsaPssSha256, Algorithm::EcdsaP256Sha256];
    fake.say_keys(&[rsa_jwk(0, "one"), ec_jwk("two")]);
    let bench = Bench::over(provider, fake).await;
    let payload = bench.claims(&json!({})).to_string();
    for (alg, kid, how, verdict) in [
        ("PS256", "one", "PS256", "accepted"),
        ("ES256", "two", "ES256", "accepted"),
        ("RS256", "one", "RS256", "algorithm_not_allowed"),
        ("PS256", "one", "RS256", "invalid_signature"),
        ("ES256", "one", "ES256", "unfit_key"),
        ("PS256", "two", "PS256", "unfit_key"),
    ] {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        let token = sign_raw(&header, &payload, how, 0);
        assert_eq!(bench.verdict(&token).await, verdict, "{alg} {kid} {how}");
    }
}

#[tokio::test]
async fn what_is_no_token_or_was_changed_is_refused() {
    // S-170, S-193
    let bench = Bench::oidc().await;
    let good = token(&bench.claims(&json!({})));
    assert_eq!(bench.verdict(&good).await, "accepted");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let header = r#"{"alg":"RS256","kid":"one"}"#;
    let twice = bench
        .claims(&json!({}))
        .to_string()
        .replacen('{', r#"{"sub":"bob","#, 1);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let other = token(&bench.claims(&json!({"sub": "bob"})));
    let foreign = sign_raw(header, &bench.claims(&json!({})).to_string(), "RS256", 1);
    for (token, verdict) in [
        (String::new(), "malformed_token"),
        ("x".to_owned(), "malformed_token"),
        ("..".to_owned(), "malformed_token"),
        (message.to_owned(), "malformed_token"),
        (format!("{good}.x"), "malformed_token"),
        (format!("{good}="), "malformed_token"),
        (format!("{message}."), "invalid_signature"),
        (format!("{message}.AAAA"), "invalid_signature"),
        (
            format!("{}.{signature}", other.rsplit_once('.').unwrap().0),
            "invalid_signature",
        ),
        (foreign, "invalid_signature"),
        (sign_raw(header, &twice, "RS256", 0), "malformed_token"),
        (sign_raw(header, &deep, "RS256", 0), "malformed_token"),
        (sign_raw(header, "[]", "RS256", 0), "malformed_token"),
        (
            sign_raw(r#"{"alg":"RS256","alg":"none"}"#, "{}", "RS256", 0),
            "malformed_token",
        ),
        (
            sign_raw(header, &"x".repeat(65_536), "RS256", 0),
            "malformed_token",
        ),
    ] {
        assert_eq!(bench.verdict(&token).await, verdict, "{token:.200}");
    }
}

#[tokio::test]
async fn a_token_is_over_at_its_end_and_a_day_from_now_at_the_latest() {
    // S-173
    let bench = Bench::oidc().await;
    for (expires, left) in [(3600, 3660), (-59, 1), (86_400, 86_400)] {
        let token = token(&bench.claims(&json!({"exp": NOW + expires, "iat": NOW})));
        let verified = bench.verify(&token).await.unwrap();
        let now = bench.clock.clock().now();
        let expected: Deadline = now.deadline_after(std::time::Duration::from_secs(left));
        assert_eq!(verified.until, expected, "{expires}");
    }
}

#[tokio::test]
async fn no_error_quotes_the_token() {
    let bench = Bench::oidc().await;
    let token = token(&bench.claims(&json!({"sub": 7, "hunter2": "hunter2"})));
    let error = bench.tokens().verify(&token).await.unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", bench.tokens()).contains("hunter2"));
}
