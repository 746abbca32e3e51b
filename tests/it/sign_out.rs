//! Signing out: here first, then at the provider; never at another site's wish; and who one is.

mod front_channel;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Browser, page_view},
    house::{House, SESSION, around, built, entra_house, house, is_in},
    issuer::{Reply, field, person},
};

const OTHER_HOST: &str = "erp.example";
const LOGOUT: &str = "/.vestibule/logout";

/// A GET of a page of the same origin: a link or a script.
async fn sign_out(house: &House, browser: &mut Browser, query: &str) -> Answer {
    let url = house.url(&format!("{LOGOUT}{query}"));
    let request = page_view(Request::get(url)).header("sec-fetch-site", "same-origin");
    browser.send(request.body(Bytes::new()).unwrap()).await
}

/// The token in the form of the page that asks.
fn token_in(answer: &Answer) -> String {
    let token = answer.text().split("name=\"token\" value=\"").nth(1);
    token.unwrap().split('"').next().unwrap().to_owned()
}

async fn two_hosts() -> House {
    built(
        |idp| idp,
        |house, app| house.route("erp", OTHER_HOST, "allow = \"signed-in\"", app),
    )
    .await
}

/// Where the page of somebody who is signed out offers to sign in again.
fn again(answer: &Answer) -> &str {
    let link = answer
        .text()
        .split("href=\"/.vestibule/login?return=")
        .nth(1);
    link.unwrap().split('"').next().unwrap()
}

#[tokio::test]
async fn the_session_here_ends_before_the_one_at_the_provider() {
    // S-155 oidcc-client-test-rp-init-logout, S-054
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let out = sign_out(&house, &mut browser, "?return=/page%3Fx%3D1").await;
    assert_eq!(out.status, 303);
    assert_eq!(house.vestibule.sessions().live(), 0);
    assert!(
        house.idp.logout_requests().is_empty(),
        "the browser has not been there yet"
    );

    let back = browser.view(out.redirects_to().unwrap().as_str()).await;
    let asked = house.idp.logout_requests().remove(0);
    let to = house.url("/.vestibule/signed-out");
    assert_eq!(field(&asked, "post_logout_redirect_uri"), Some(&*to));
    assert_eq!(
        field(&asked, "client_id"),
        Some(crate::support::issuer::CLIENT_ID)
    );
    assert_eq!(
        field(&asked, "id_token_hint").unwrap().split('.').count(),
        3
    );
    let state = field(&asked, "state").unwrap();
    assert!(!state.contains("page"), "it is sealed");

    let mut home = back.redirects_to().unwrap();
    home.query_pairs_mut().append_pair("state", state);
    let page = browser.view(home.as_str()).await;
    assert_eq!(page.status, 200);
    assert_eq!(again(&page), "%2Fpage%3Fx%3D1");
    assert!(!house.is_in(&mut browser).await);
}

#[tokio::test]
async fn entra_is_told_whose_session_ends() {
    // S-204
    let house = entra_house().await;
    let mut browser = house.browser_of("ann").await;
    let out = sign_out(&house, &mut browser, "").await;
    browser.view(out.redirects_to().unwrap().as_str()).await;
    let asked = house.idp.logout_requests().remove(0);
    assert_eq!(field(&asked, "logout_hint"), Some("O.ann@corp.example"));
    assert_eq!(
        field(&asked, "state"),
        None,
        "there is nothing to come back to"
    );
}

#[tokio::test]
async fn a_return_with_another_state_or_none_is_a_page_and_no_more() {
    // S-156 oidcc-client-test-rp-init-logout-other-state, S-157 -no-state
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    sign_out(&house, &mut browser, "?return=/page").await;
    for query in [
        "",
        "?",
        "?state=",
        "?state=x",
        "?state=x&state=y",
        "?state=%00",
        "?error=x",
        "?code=A&state=B",
    ] {
        for page in [true, false] {
            let url = house.url(&format!("/.vestibule/signed-out{query}"));
            let answer = if page {
                browser.view(&url).await
            } else {
                browser.get(&url).await
            };
            assert_eq!(answer.status, 200, "{query}");
            assert!(answer.redirects_to().is_none());
            assert_eq!(answer.header("set-cookie"), None);
            if page {
                assert_eq!(again(&answer), "%2F");
            }
        }
    }
    assert!(!house.is_in(&mut browser).await);
    assert_eq!(house.idp.authorization_requests().len(), 1);
}

#[tokio::test]
async fn the_page_of_the_signed_out_ends_nothing() {
    // S-156
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    assert_eq!(
        browser
            .view(&house.url("/.vestibule/signed-out?state=x"))
            .await
            .status,
        200
    );
    assert!(house.is_in(&mut browser).await);
}

#[tokio::test]
async fn a_provider_without_an_end_of_session_ends_ours_all_the_same() {
    // S-204
    let time = crate::support::clock::manual();
    let idp = crate::support::issuer::honest(&time).run();
    idp.lie(|it| {
        it.discovery = Reply::edited(|metadata| {
            metadata
                .as_object_mut()
                .unwrap()
                .remove("end_session_endpoint");
        });
    });
    let house = around(idp, &time).await;
    let mut browser = house.browser_of("ann").await;
    let out = sign_out(&house, &mut browser, "").await;
    assert_eq!(
        out.header("location"),
        Some(&*house.url("/.vestibule/signed-out"))
    );
    // Not only its cookie is gone.
    assert_eq!(house.vestibule.sessions().live(), 0);
    assert!(!house.is_in(&mut browser).await);
}

#[tokio::test]
async fn a_provider_that_is_down_keeps_nobody_signed_in() {
    // S-204
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    house.idp.go_down().await;
    let out = sign_out(&house, &mut browser, "").await;
    assert_eq!(out.status, 303);
    // Not only its cookie is gone.
    assert_eq!(house.vestibule.sessions().live(), 0);
    assert!(!house.is_in(&mut browser).await);
    house.idp.come_back();
}

#[tokio::test]
async fn another_site_can_make_a_browser_ask_and_no_more() {
    // S-244: a link, an image, a frame, a prefetch, a browser that says nothing: a page with a button.
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    for site in [
        Some("cross-site"),
        Some("same-site"),
        Some("none"),
        Some("same-origin, x"),
        Some(""),
        None,
    ] {
        let mut request = page_view(Request::get(house.url("/.vestibule/logout?return=/page")));
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        let answer = browser.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(answer.status, 200, "{site:?}");
        assert_eq!(answer.header("set-cookie"), None);
        assert!(
            answer
                .text()
                .contains("<form method=\"post\" action=\"/.vestibule/logout\">")
        );
        assert!(answer.text().contains("name=\"return\" value=\"/page\""));
        assert!(house.is_in(&mut browser).await);
    }
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_out() {
    // S-244
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let token = token_in(&browser.view(&house.url(LOGOUT)).await);
    let body = format!("token={token}&return=%2F");
    for (site, origin, body) in [
        (Some("cross-site"), "https://evil.test", &*body),
        (Some("same-site"), "https://evil.wiki.example", &body),
        (Some("cross-site"), "null", &body),
        (None, "https://evil.test", &body),
        (None, "http://wiki.example", &body),
        (Some("same-origin"), &house.url(""), ""),
        (Some("same-origin"), &house.url(""), "token="),
        (Some("same-origin"), &house.url(""), "token=x"),
        (
            Some("same-origin"),
            &house.url(""),
            &format!("token={token}A"),
        ),
        (
            Some("same-origin"),
            &house.url(""),
            &format!("token={token}&token={token}"),
        ),
        (None, "null", "return=%2F"),
    ] {
        let mut request = page_view(Request::post(house.url(LOGOUT)))
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        let request = request
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let answer = browser.send(request).await;
        assert_eq!(answer.status, 403, "{site:?} {origin} {body}");
        assert_eq!(answer.header("set-cookie"), None);
        assert!(house.is_in(&mut browser).await);
    }
    // A token in the address counts for nothing; nor does one in another form.
    let answer = browser
        .post(&house.url(&format!("{LOGOUT}?token={token}")), &[])
        .await;
    assert_eq!(answer.status, 403);
    let request = Request::post(house.url(LOGOUT)).header("content-type", "text/plain");
    let answer = browser
        .send(request.body(Bytes::from(body.clone())).unwrap())
        .await;
    assert_eq!(answer.status, 403);
    assert!(house.is_in(&mut browser).await);
}

#[tokio::test]
async fn the_button_signs_out_and_its_token_is_one_sessions() {
    let house = house().await;
    let mut ann = house.browser_of("ann").await;
    let mut bob = house.browser_of("bob").await;
    let page = ann
        .view(&house.url("/.vestibule/logout?return=/page"))
        .await;
    let token = token_in(&page);
    let fields = [("token", &*token), ("return", "/page")];
    assert_eq!(bob.post(&house.url(LOGOUT), &fields).await.status, 403);
    assert!(house.is_in(&mut bob).await);

    let out = ann.post(&house.url(LOGOUT), &fields).await;
    assert_eq!(out.status, 303);
    let to = out.redirects_to().unwrap();
    assert!(to.as_str().starts_with(&house.idp.authority()));
    // Browsers apply the page's policy to where a form is redirected.
    let policy = page.header("content-security-policy").unwrap();
    let origin = to.origin().ascii_serialization();
    assert!(
        policy.contains(&format!("form-action 'self' {origin}")),
        "{policy}"
    );
    assert_eq!(house.vestibule.sessions().live(), 1, "only bob's");
    assert!(!house.is_in(&mut ann).await);
    // The next session needs a token of its own.
    let mut ann = house.browser_of("ann").await;
    assert_eq!(ann.post(&house.url(LOGOUT), &fields).await.status, 403);
    assert!(house.is_in(&mut ann).await);
}

#[tokio::test]
async fn nobody_is_signed_out_without_a_fault() {
    let house = house().await;
    let mut browser = house.browser();
    browser.set_cookie(&house.url("/"), &format!("{SESSION}=x; Path=/; Secure"));
    // Another site that sends the browser here takes nothing away; the person does.
    for (site, left) in [("cross-site", 1), ("none", 0)] {
        let request = page_view(Request::get(house.url(LOGOUT))).header("sec-fetch-site", site);
        let out = browser.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(out.status, 303);
        assert_eq!(
            out.header("location"),
            Some(&*house.url("/.vestibule/signed-out"))
        );
        assert_eq!(browser.cookie_names(&house.url("/")).len(), left, "{site}");
    }
    let out = browser.post(&house.url(LOGOUT), &[]).await;
    assert_eq!(out.status, 303);
    assert!(house.idp.logout_requests().is_empty());
}

#[tokio::test]
async fn signing_out_here_ends_no_other_session() {
    let house = two_hosts().await;
    let elsewhere = house.vestibule.url(OTHER_HOST, "/");
    let mut browser = house.browser_of("ann").await;
    house
        .sign_in_at(&mut browser, &elsewhere, person("ann"))
        .await;
    let mut other = house.browser_of("ann").await;
    sign_out(&house, &mut browser, "").await;
    assert!(!house.is_in(&mut browser).await);
    assert!(is_in(&mut browser, &elsewhere).await && house.is_in(&mut other).await);
}

#[tokio::test]
async fn people_and_programs_are_told_who_they_are_and_of_nobody_else() {
    let house = built(|idp| idp, |house, _| house).await;
    let mut ann = house.browser();
    let who = person("ann")
        .groups(&["staff", "readers"])
        .roles(&["Editor"]);
    house.sign_in(&mut ann, who).await;
    house.browser_of("bob").await;
    let url = house.url("/.vestibule/me");
    let me = ann.get(&url).await;
    assert_eq!(me.header("content-type"), Some("application/json"));
    assert_eq!(me.header("cache-control"), Some("no-store"));
    let expected = json!({
        "user": "ann@corp.example",
        "name": "ann Example",
        "email": "ann@corp.example",
        "groups": ["staff", "readers"],
        "roles": ["Editor"],
        "idp": "corp",
        "route": "wiki",
        "signed_in_at": "2026-11-21T19:30:00Z",
        "expires_at": "2026-11-22T19:30:00Z",
    });
    assert_eq!(me.json(), expected);
    let page = ann.view(&url).await;
    for told in [
        "ann@corp.example",
        "ann Example",
        "staff",
        "readers",
        "Editor",
        "2026-11-22T19:30:00Z",
    ] {
        assert!(page.text().contains(told), "{told}");
    }
    assert!(!page.text().contains("bob"));

    // Nobody is nobody: a page with a button, a problem, and no cookie.
    let mut nobody = house.browser();
    let page = nobody.view(&url).await;
    assert_eq!(
        (page.status.as_u16(), page.header("set-cookie")),
        (401, None)
    );
    assert_eq!(again(&page), "%2F.vestibule%2Fme");
    let problem = nobody.get(&url).await;
    assert_eq!(
        (problem.status.as_u16(), &problem.json()["reason"]),
        (401, &Value::from("no_session"))
    );
    assert_eq!(problem.json().get("user"), None);
}
