//! Access tokens, one fault at a time; then their keys.

use std::sync::Arc;

use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde_json::{Value, json};

use super::{
    super::{
        access_token::{AccessTokens, Holder, VerifiedToken},
        relying_party::RelyingParty,
    },
    support::*,
};
use crate::{
    clock::{Deadline, ManualClock},
    config::bearer::{Bearer, BearerIssuer, KeySource},
    identity::{PersonKey, ProviderName},
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
    // S-170, S-171, RFC 8725 3.1, 3.2, 3.11
    let bench = Bench::oidc().await;
    let payload = bench.claims(&json!({})).to_string();
    for (header, how, verdict) in [
        (json!({"alg": "RS256", "kid": "one"}), "RS256", "accepted"),
        (json!({"alg": "RS256"}), "RS256", "accepted"),
        (
            json!({"alg": "RS256", "kid": "one", "typ": "at+jwt"}),
            "RS256",
            "accepted",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "typ": "application/AT+JWT"}),
            "RS256",
            "accepted",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "typ": "JWT"}),
            "RS256",
            "accepted",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "typ": "dpop+jwt"}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "typ": 7}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "crit": []}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "crit": ["exp"], "exp": 1}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "b64": false}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "b64": true}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "zip": "DEF"}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "cty": "JWT"}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "enc": "A128GCM"}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": 7}),
            "RS256",
            "unacceptable_header",
        ),
        (
            json!({"alg": "RS256", "kid": "k".repeat(65_536)}),
            "RS256",
            "malformed_token",
        ),
        (
            json!({"alg": "RS256", "kid": "../../one"}),
            "RS256",
            "unknown_key",
        ),
        (
            json!({"alg": "RS256", "kid": "one", "jwk": rsa_jwk(1, "one"), "jku": "https://evil"}),
            "RS256",
            "accepted",
        ),
        (json!({"alg": "none"}), "RS256", "algorithm_not_allowed"),
        (json!({"alg": "nOnE"}), "RS256", "algorithm_not_allowed"),
        (
            json!({"alg": "HS256", "kid": "one"}),
            "RS256",
            "algorithm_not_allowed",
        ),
        (
            json!({"alg": "rs256", "kid": "one"}),
            "RS256",
            "algorithm_not_allowed",
        ),
        (
            json!({"alg": "RS512", "kid": "one"}),
            "RS512",
            "algorithm_not_allowed",
        ),
        (
            json!({"alg": "PS256", "kid": "one"}),
            "PS256",
            "algorithm_not_allowed",
        ),
        (
            json!({"alg": "ES256", "kid": "one"}),
            "ES256",
            "algorithm_not_allowed",
        ),
        (
            json!({"alg": ["RS256"], "kid": "one"}),
            "RS256",
            "algorithm_not_allowed",
        ),
        (json!({"kid": "one"}), "RS256", "algorithm_not_allowed"),
    ] {
        let token = sign_raw(&header.to_string(), &payload, how, 0);
        let shown = header.to_string();
        assert_eq!(bench.verdict(&token).await, verdict, "{shown:.200}");
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
async fn entra_names_tenant_and_version_and_both_have_to_fit() {
    // S-195
    let bench = Bench::entra(&[]).await;
    let host = bench.fake.issuer();
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    for (changes, verdict) in [
        (json!({}), "accepted"),
        (json!({"tid": OTHER_TENANT}), "wrong_issuer"),
        (json!({"tid": "REMOVE"}), "malformed_claim"),
        (json!({"tid": "contoso.com"}), "malformed_claim"),
        (
            json!({"tid": OTHER_TENANT, "iss": format!("{host}/{OTHER_TENANT}/v2.0")}),
            "wrong_issuer",
        ),
        (json!({"ver": "1.0"}), "malformed_claim"),
        (json!({"ver": "REMOVE"}), "malformed_claim"),
        (json!({"oid": "REMOVE"}), "unusable_claims"),
        (json!({"oid": "ann"}), "unusable_claims"),
        // Version 1 only where it is listed.
        (json!({"iss": v1, "ver": "1.0"}), "wrong_issuer"),
        (json!({"azp": APP, "appid": OBJECT}), "malformed_claim"),
        (json!({"scp": ["read"]}), "malformed_claim"),
        (json!({"scp": "REMOVE"}), "holder_unclear"),
        (json!({"idtyp": "user"}), "accepted"),
        (json!({"idtyp": "user", "scp": "REMOVE"}), "holder_unclear"),
        (json!({"idtyp": "app"}), "holder_unclear"),
        (json!({"idtyp": "device"}), "holder_unclear"),
        (json!({"idtyp": 7}), "malformed_claim"),
        (json!({"idtyp": "app", "scp": "REMOVE"}), "accepted"),
        (
            json!({"idtyp": "app", "scp": "REMOVE", "azp": "REMOVE"}),
            "holder_unclear",
        ),
    ] {
        let token = token(&bench.entra_claims(&changes));
        assert_eq!(bench.verdict(&token).await, verdict, "{changes}");
    }
}

#[tokio::test]
async fn version_1_counts_where_it_is_listed_and_for_its_own_tenant() {
    let mut bench = Bench::entra(&[]).await;
    let v1 = |tenant: &str| format!("https://sts.windows.net/{tenant}/");
    bench.rules.issuers = [TENANT, OTHER_TENANT]
        .map(|tenant| BearerIssuer {
            issuer: Some(v1(tenant)),
            keys: KeySource::Provider(ProviderName("entra".to_owned())),
        })
        .to_vec();
    for (changes, verdict) in [
        (json!({}), "accepted"),
        (json!({"appid": APP, "azp": "REMOVE"}), "accepted"),
        (json!({"ver": "2.0"}), "malformed_claim"),
        (json!({"tid": OTHER_TENANT}), "wrong_issuer"),
        (json!({"iss": v1(OTHER_TENANT)}), "wrong_issuer"),
        // The keys are those of one tenant, whatever is listed.
        (
            json!({"iss": v1(OTHER_TENANT), "tid": OTHER_TENANT}),
            "tenant_not_allowed",
        ),
        // Version 2 is not listed.
        (
            json!({"iss": format!("{}/{TENANT}/v2.0", bench.fake.issuer()), "ver": "2.0"}),
            "wrong_issuer",
        ),
    ] {
        let usual = json!({"iss": v1(TENANT), "ver": "1.0"});
        let token = token(&with(bench.entra_claims(&usual), &changes));
        assert_eq!(bench.verdict(&token).await, verdict, "{changes}");
    }
}

#[tokio::test]
async fn of_several_tenants_those_listed_count() {
    // S-196
    let bench = Bench::entra(&[TENANT]).await;
    let of = |tenant: &str| {
        let issuer = format!("{}/{tenant}/v2.0", bench.fake.issuer());
        token(&bench.entra_claims(&json!({"tid": tenant, "iss": issuer})))
    };
    assert_eq!(bench.verdict(&of(TENANT)).await, "accepted");
    assert_eq!(bench.verdict(&of(OTHER_TENANT)).await, "wrong_issuer");
    assert_eq!(bench.verdict(&of("{tenantid}")).await, "wrong_issuer");
}

#[tokio::test]
async fn a_key_of_another_tenant_signs_nothing() {
    // S-197
    let bench = Bench::entra(&[]).await;
    let foreign = format!("{}/{OTHER_TENANT}/v2.0", bench.fake.issuer());
    let template = format!("{}/{{tenantid}}/v2.0", bench.fake.issuer());
    for (issuer, verdict) in [(foreign, "foreign_key"), (template, "accepted")] {
        bench
            .fake
            .say_keys(&[with(rsa_jwk(0, "one"), &json!({ "issuer": issuer }))]);
        bench.party.refresh().await.unwrap();
        let token = token(&bench.entra_claims(&json!({})));
        assert_eq!(bench.verdict(&token).await, verdict, "{issuer}");
    }
}

#[tokio::test]
async fn an_app_is_told_from_a_person_and_keeps_no_name_of_its_own() {
    let bench = Bench::entra(&[]).await;
    let named = json!({
        "name": "Ann", "preferred_username": "ann@corp.example", "email": "ann@corp.example",
        "upn": "ann@corp.example", "azp": APP.to_uppercase(),
    });
    let verified = bench
        .verify(&token(&bench.app_claims(&named)))
        .await
        .unwrap();
    assert_eq!(verified.holder, Holder::App(APP.to_owned()));
    assert_eq!(verified.identity.roles(), ["Sync"]);
    assert_eq!(verified.identity.verified_domains().count(), 0);
    for claim in ["name", "preferred_username", "email", "upn", "azp"] {
        assert_eq!(verified.identity.claim(claim), None, "{claim}");
    }
    let (name, email) = (verified.identity.name(), verified.identity.email());
    assert_eq!((name, email), (None, None));
    let person = PersonKey::Entra {
        tenant: TENANT.to_owned(),
        object: OBJECT.to_owned(),
    };
    assert_eq!(*verified.identity.person(), person);

    let verified = bench
        .verify(&token(&bench.entra_claims(&named)))
        .await
        .unwrap();
    assert_eq!(
        (verified.holder, verified.scopes),
        (Holder::Person, vec!["read".to_owned()])
    );
    assert_eq!(verified.identity.name(), Some("Ann"));

    let bench = Bench::oidc().await;
    let own = bench.claims(&json!({"sub": "sync", "client_id": "sync", "azp": "REMOVE"}));
    let verified = bench.verify(&token(&own)).await.unwrap();
    assert_eq!(verified.holder, Holder::App("sync".to_owned()));
    assert_eq!(verified.scopes, ["read", "write"]);
}

#[tokio::test]
async fn only_listed_clients_count() {
    let mut bench = Bench::entra(&[]).await;
    bench.rules.clients = vec![APP.to_owned()];
    for (client, verdict) in [
        (json!(APP), "accepted"),
        (json!(APP.to_uppercase()), "accepted"),
        (json!(OBJECT), "client_not_allowed"),
        (json!("REMOVE"), "client_not_allowed"),
    ] {
        let token = token(&bench.entra_claims(&json!({ "azp": client })));
        assert_eq!(bench.verdict(&token).await, verdict, "{client}");
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
async fn unknown_keys_cost_two_fetches_and_then_one_a_minute_and_new_ones_are_found() {
    // S-142, S-199
    let bench = Bench::oidc().await;
    let of = |kid: &str, which: usize| {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        sign_raw(
            &header,
            &bench.claims(&json!({})).to_string(),
            "RS256",
            which,
        )
    };
    assert_eq!(bench.fake.asked("/keys").len(), 1);
    bench.fake.say_keys(&[rsa_jwk(1, "two")]);
    assert_eq!(bench.verdict(&of("two", 1)).await, "accepted");
    assert_eq!(bench.fake.asked("/keys").len(), 2);
    // The one that vanished still counts.
    assert_eq!(bench.verdict(&of("one", 0)).await, "accepted");
    for fetches in [3, 3, 3] {
        assert_eq!(bench.verdict(&of("three", 1)).await, "unknown_key");
        assert_eq!(bench.fake.asked("/keys").len(), fetches);
    }
    bench.clock.advance(std::time::Duration::from_mins(1));
    for _ in 0..3 {
        assert_eq!(bench.verdict(&of("three", 1)).await, "unknown_key");
    }
    assert_eq!(bench.fake.asked("/keys").len(), 4);
    // What else is wrong with a token, a broken signature too, costs no fetch at all.
    bench.clock.advance(std::time::Duration::from_mins(1));
    let payload = bench.claims(&json!({"exp": NOW - 60})).to_string();
    let expired = sign_raw(r#"{"alg":"RS256","kid":"four"}"#, &payload, "RS256", 1);
    assert_eq!(bench.verdict(&expired).await, "expired_token");
    assert_eq!(bench.verdict(&of("one", 1)).await, "invalid_signature");
    assert_eq!(bench.fake.asked("/keys").len(), 4);
}

#[tokio::test]
async fn an_issuer_that_is_not_known_yet_is_no_fault_of_the_token() {
    let bench = Bench::oidc().await;
    let unknown = bench.fake.relying_party(&bench.clock);
    let tokens = AccessTokens::new(&bench.rules, |_| Some(Arc::clone(&unknown))).unwrap();
    let token = token(&bench.claims(&json!({})));
    let refused = tokens.verify(&token).await.unwrap_err();
    assert_eq!(refused.reason(), "keys_unavailable");
}

#[tokio::test]
async fn an_issuer_of_tokens_alone_needs_no_endpoint_but_its_keys() {
    let bench = Bench::oidc().await;
    let bare =
        json!({"issuer": bench.fake.issuer(), "jwks_uri": format!("{}/keys", bench.fake.issuer())});
    let metadata = "/.well-known/openid-configuration";
    bench.fake.say(metadata, Say::json(&bare));
    assert!(bench.party.refresh().await.is_err());
    let name = ProviderName(bench.fake.issuer());
    let kind = oidc(&bench.fake.issuer());
    let party = RelyingParty::for_keys(name, kind, bench.clock.clock()).unwrap();
    party.refresh().await.unwrap();
    let tokens = AccessTokens::new(&bench.rules, |_| Some(Arc::clone(&party))).unwrap();
    let good = token(&bench.claims(&json!({})));
    assert!(tokens.verify(&good).await.is_ok());
    // Nothing but the endpoints is forgiven.
    let foreign = with(bare, &json!({"issuer": "https://evil.example"}));
    bench.fake.say(metadata, Say::json(&foreign));
    assert!(party.refresh().await.is_err());
}

#[tokio::test]
async fn no_error_quotes_the_token() {
    let bench = Bench::oidc().await;
    let token = token(&bench.claims(&json!({"sub": 7, "hunter2": "hunter2"})));
    let error = bench.tokens().verify(&token).await.unwrap_err();
    assert!(!format!("{error} {error:?} {:?}", bench.tokens()).contains("hunter2"));
}
