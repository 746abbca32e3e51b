//! What is particular to Entra ID: which tenant somebody is of, and whose tokens a key may sign.

use serde_json::{Value, json};

use super::{accepts, refuses};
use crate::support::{
    clock,
    house::{HOST, House, entra_house},
    issuer::{self, PublishedKey, TENANT, person},
    upstream, vestibule,
};

const OTHER_TENANT: &str = "99999999-2222-4333-8444-555555555555";

#[tokio::test]
async fn a_token_of_another_tenant_is_refused() {
    // S-195
    let house = entra_house().await;
    let issuer = house.idp.issuer();
    let theirs = issuer.replace(TENANT, OTHER_TENANT);
    house
        .idp
        .signs_in(person("mallory").in_tenant(OTHER_TENANT));
    refuses(&house, "wrong_issuer", |_| ()).await;
    house.idp.signs_in(person("ann"));
    refuses(&house, "wrong_issuer", |it| it.claim("tid", OTHER_TENANT)).await;
    refuses(&house, "wrong_issuer", |it| it.claim("iss", theirs)).await;
    for odd in [Value::Null, json!(""), json!([TENANT]), json!(1)] {
        refuses(&house, "malformed_claim", |it| it.claim("tid", odd)).await;
    }
    refuses(&house, "malformed_claim", |it| it.without_claim("tid")).await;
    refuses(&house, "unusable_claims", |it| it.without_claim("oid")).await;
    house.idp.tells_the_truth();
    accepts(&house, |_| ()).await;
}

#[tokio::test]
async fn an_address_makes_nobody_somebody_else() {
    // S-194: the same address, another person.
    let house = entra_house().await;
    house.browser_of("ann").await;
    let mut other = house.browser();
    let who = person("mallory")
        .claim("preferred_username", "ann@corp.example")
        .claim("email", "ann@corp.example");
    house.sign_in(&mut other, who).await;
    let all = vestibule_sessions(&house);
    assert_eq!(all.len(), 2);
    assert_ne!(all[0], all[1], "two people");
}

fn vestibule_sessions(house: &House) -> Vec<String> {
    let sessions = house.vestibule.sessions();
    let all = sessions
        .select(&::vestibule::session::Selection::All)
        .unwrap();
    all.iter()
        .map(|it| it.identity().person().to_string())
        .collect()
}

#[tokio::test]
async fn a_key_signs_for_its_own_issuer_alone() {
    // S-197
    let house = entra_house().await;
    let issuer = house.idp.issuer();
    let theirs = issuer.replace(TENANT, OTHER_TENANT);
    for (member, value, good) in [
        ("issuer", json!(theirs), false),
        ("issuer", json!("https://evil.test/{tenantid}/v2.0"), false),
        ("cloud_instance_name", json!("microsoftonline.us"), false),
        ("issuer", json!(issuer), true),
        ("cloud_instance_name", json!("microsoftonline.com"), true),
    ] {
        let kid = format!("{member} {value}");
        let key = PublishedKey::numbered(1).named(&kid).member(member, value);
        house.idp.publishes(vec![key]);
        if good {
            accepts(&house, |_| ()).await;
        } else {
            refuses(&house, "foreign_key", |_| ()).await;
        }
        house.wait(std::time::Duration::from_mins(1));
    }
}

#[tokio::test]
async fn an_authority_for_everybody_needs_a_list_of_tenants() {
    // S-196: refused at the start.
    let time = clock::manual();
    let idp = issuer::honest(&time).template().run();
    let app = upstream::echo().run();
    let rules = "allow = \"signed-in\"";
    let without = vestibule::new()
        .route("wiki", HOST, rules, &app)
        .entra(&idp);
    let findings: Vec<_> = without.findings().iter().map(ToString::to_string).collect();
    assert!(
        findings.iter().any(|it| it.contains("tenants")),
        "{findings:?}"
    );
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, rules, &app)
        .entra(&idp)
        .main(&format!("tenants = [\"{TENANT}\"]"))
        .run();
    vestibule.can_sign_in(HOST).await;
    let house = House {
        vestibule,
        idp,
        app,
    };
    house
        .idp
        .signs_in(person("mallory").in_tenant(OTHER_TENANT));
    refuses(&house, "tenant_not_allowed", |_| ()).await;
    accepts(&house, |_| ()).await;
}
