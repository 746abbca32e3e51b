//! Metadata, keys and the tenant as a server.

use super::*;

#[tokio::test]
async fn discovery_names_the_tenant_by_id_and_leaves_out_what_entra_leaves_out() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let by_id = browser
        .get(&path("v2.0/.well-known/openid-configuration"))
        .await;
    assert_eq!(by_id.header("cache-control"), "max-age=86400, private");
    let by_domain = browser
        .get("/Contoso.example/v2.0/.well-known/openid-configuration")
        .await;
    let document = by_id.json();
    assert_eq!(by_domain.json(), document);
    assert_eq!(document["issuer"], tenant.authority());
    for absent in [
        "code_challenge_methods_supported",
        "authorization_response_iss_parameter_supported",
        "backchannel_logout_supported",
        "revocation_endpoint",
    ] {
        assert!(document.get(absent).is_none(), "{absent}");
    }
    tenant.stop().await;
}

#[tokio::test]
async fn an_unknown_tenant_is_refused() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    for endpoint in [
        "v2.0/.well-known/openid-configuration",
        "discovery/v2.0/keys",
    ] {
        let received = browser.get(&format!("/fabrikam.example/{endpoint}")).await;
        assert_refused(&received, 400, "invalid_tenant", 90_002);
    }
}

#[tokio::test]
async fn tokens_verify_after_a_rotation_and_the_new_key_is_unknown_before() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let before = browser.get(&path("discovery/v2.0/keys")).await.body;
    tenant.rotate_keys().unwrap();
    let code = sign_in(&mut browser, &Person::ann())
        .await
        .answered("code")
        .unwrap();
    let body = redeem(&mut browser, &code, &[]).await.json();
    let id_token = body["id_token"].as_str().unwrap();
    let kid = decode_header(id_token).unwrap().kid.unwrap();
    assert!(!before.contains(&kid));
    verified(&mut browser, id_token).await;
}

#[tokio::test]
async fn a_tenant_that_is_down_drops_connections_and_comes_back() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    tenant.set_down(true);
    let keys = path("discovery/v2.0/keys");
    assert!(browser.send(Method::GET, &keys, &[], "").await.is_err());
    tenant.set_down(false);
    assert_eq!(browser.get(&keys).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_tenant_listens_on_loopback_alone() {
    let settings = TenantSettings {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..TenantSettings::new(Clock::system())
    };
    assert!(Tenant::start(settings).await.is_err());
}
