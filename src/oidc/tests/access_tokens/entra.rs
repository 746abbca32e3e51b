//! Tenants, versions and keys of Entra ID; and who is an app and who a person.

use super::*;
use crate::{identity::PersonKey, oidc::Holder};

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
