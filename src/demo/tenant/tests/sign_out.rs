//! Signing out.

use super::*;

#[tokio::test]
async fn signing_out_asks_tells_the_apps_and_returns() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let sid = sign_in(&mut browser, &Person::ann())
        .await
        .answered("session_state")
        .unwrap();
    let logout = path(&format!(
        "oauth2/v2.0/logout?{}",
        encoded(&[("post_logout_redirect_uri", WIKI), ("state", "bye")])
    ));
    let picker = browser.get(&logout).await;
    assert!(picker.body.contains("Which account"), "{}", picker.body);
    assert!(
        authorize(&mut browser, &[])
            .await
            .answered("code")
            .is_some()
    );

    let leaving = browser
        .post(&logout, &[("person", &Person::ann().id)])
        .await;
    let frame = format!("{FRONT_CHANNEL}?sid={sid}\"");
    assert!(leaving.body.contains(&frame), "{}", leaving.body);
    assert!(leaving.body.contains(&format!("{WIKI}?state=bye\"")));
    assert_eq!(authorize(&mut browser, &[]).await.status, StatusCode::OK);

    // Nobody is signed in any more: straight back.
    assert_eq!(
        browser.get(&logout).await.answered("state").as_deref(),
        Some("bye")
    );
}

#[tokio::test]
async fn a_hint_spares_the_question_and_a_foreign_address_is_not_gone_to() {
    let tenant = tenant().await;
    tenant.register(Client {
        front_channel_logout_uri: None,
        ..client()
    });
    let mut browser = Browser::of(tenant.address());
    let code = sign_in(&mut browser, &Person::ann())
        .await
        .answered("code")
        .unwrap();
    let id_token = redeem(&mut browser, &code, &[]).await.json()["id_token"].clone();
    let claims = verified(&mut browser, id_token.as_str().unwrap()).await;
    for (name, hint, spared) in [
        ("logout_hint", "ann@contoso.example", false),
        ("logout_hint", claims["login_hint"].as_str().unwrap(), true),
        ("id_token_hint", id_token.as_str().unwrap(), true),
    ] {
        sign_in(&mut browser, &Person::ann()).await;
        let target = ("post_logout_redirect_uri", "https://evil.example/");
        let query = encoded(&[target, (name, hint)]);
        let page = browser
            .get(&path(&format!("oauth2/v2.0/logout?{query}")))
            .await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains("href=\"https://evil.example"));
        let done = page.body.contains("You signed out of your account");
        assert_eq!(done, spared, "{name} {hint}");
    }
}
