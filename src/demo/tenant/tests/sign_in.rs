//! The authorization endpoint and the sign-in form.

use super::*;

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_registered() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    sign_in(&mut browser, &Person::ann()).await;
    for (changes, number) in [
        (
            [(
                "redirect_uri",
                "https://wiki.localhost:9443/.vestibule/callback",
            )],
            "AADSTS50011",
        ),
        (
            [(
                "redirect_uri",
                "https://wiki.localhost:8443/.vestibule/Callback",
            )],
            "AADSTS50011",
        ),
        ([("redirect_uri", "")], "AADSTS900144"),
        ([("client_id", "nobody")], "AADSTS700016"),
        ([("response_mode", "carrier_pigeon")], "AADSTS90014"),
    ] {
        let page = authorize(&mut browser, &changes).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.body.contains(number), "{}", page.body);
    }
}

#[tokio::test]
async fn other_faults_go_back_to_the_client_with_its_state() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    for (changes, error) in [
        ([("response_type", "id_token")], "unsupported_response_type"),
        ([("scope", "profile")], "invalid_scope"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("prompt", "create")], "invalid_request"),
        ([("prompt", "none")], "login_required"),
    ] {
        let back = authorize(&mut browser, &changes).await;
        assert_eq!(
            back.answered("error").as_deref(),
            Some(error),
            "{changes:?}"
        );
        assert_eq!(back.answered("state").as_deref(), Some("st&te"));
        assert!(back.answered("code").is_none());
    }
}

#[tokio::test]
async fn a_second_app_signs_in_silently_in_the_same_session() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let first = sign_in(&mut browser, &Person::ann()).await;
    let second = authorize(
        &mut browser,
        &[("redirect_uri", ORDERS), ("prompt", "none")],
    )
    .await;
    assert!(second.location().as_str().starts_with(ORDERS));
    assert_eq!(
        first.answered("session_state"),
        second.answered("session_state")
    );

    for asking in ["login", "select_account"] {
        let form = authorize(&mut browser, &[("prompt", asking)]).await;
        assert_eq!(form.status, StatusCode::OK, "{asking}");
    }
    let hinted = authorize(&mut browser, &[("login_hint", "ann@contoso.example")]).await;
    assert!(hinted.answered("code").is_some());
    let other = authorize(&mut browser, &[("login_hint", "zoe@contoso.example")]).await;
    assert!(
        other.body.contains("suggested by the app"),
        "{}",
        other.body
    );
}

#[tokio::test]
async fn cancelling_is_told_without_a_description() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let login = path(&format!("login?{}", query(&[])));
    let back = browser.post(&login, &[("cancel", "cancel")]).await;
    assert_eq!(back.answered("error").as_deref(), Some("access_denied"));
    assert_eq!(back.answered("error_subcode").as_deref(), Some("cancel"));
    assert_eq!(back.answered("error_description"), None);
}

#[tokio::test]
async fn a_form_post_carries_the_answer_escaped() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    sign_in(&mut browser, &Person::ann()).await;
    let odd = [
        ("response_mode", "form_post"),
        ("state", "\"><script>alert(1)</script>"),
    ];
    let page = authorize(&mut browser, &odd).await;
    assert!(page.body.contains("document.forms[0].submit()"));
    assert!(page.body.contains(r#"name="code""#));
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
}

#[tokio::test]
async fn a_disabled_person_gets_no_further() {
    let tenant = tenant().await;
    let mut browser = Browser::of(tenant.address());
    let ann = Person::ann();
    let code = sign_in(&mut browser, &ann).await.answered("code").unwrap();
    tenant.disable(&ann.id);
    let refused = redeem(&mut browser, &code, &[]).await;
    assert_refused(&refused, 400, "invalid_grant", 50_057);
    let silent = authorize(&mut browser, &[]).await;
    assert!(silent.body.contains("AADSTS50057"));
    let form = sign_in(&mut browser, &ann).await;
    assert!(form.body.contains("AADSTS50057"));
}
