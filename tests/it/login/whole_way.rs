//! From the first request to the page and back again, as it should be.

use std::collections::BTreeSet;

use http::Version;
use url::Url;

use crate::support::{
    client::{Answer, Browser},
    house::{ATTEMPT, HOST, House, SESSION, built, cookies_set, entra_house, house},
    issuer::{CLIENT_ID, Fields, field, person},
};

/// A page with everything that an address may hold.
const PAGE: &str = "/a%2Fb;c=d//e?x=%2f&y=1+2&u=https://other.example/";

/// Goes the whole way by hand and checks each step of it.
async fn signs_in(house: &House, browser: &mut Browser) -> Answer {
    let away = browser.view(&house.url(PAGE)).await;
    assert_eq!(away.status, 302);
    house.app.assert_silent().await;
    let to = away.redirects_to().unwrap();
    check_request(house, &to);

    let back = browser.view(to.as_str()).await.redirects_to().unwrap();
    let back = browser.view(back.as_str()).await;
    assert_eq!(back.status, 303);
    assert_eq!(back.header("location"), Some(&*house.url(PAGE)));
    assert_eq!(cookies_set(&back, SESSION).len(), 1);

    let there = browser.view(&house.url(PAGE)).await;
    assert_eq!(there.status, 200);
    there
}

/// The authorization request has what it needs, each once, and nothing else.
fn check_request(house: &House, to: &Url) {
    assert!(to.as_str().starts_with(&house.idp.authorization_endpoint()));
    let asked: Fields = to.query_pairs().into_owned().collect();
    let names: BTreeSet<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
    let expected = BTreeSet::from([
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    ]);
    assert_eq!(names, expected);
    assert_eq!(asked.len(), names.len(), "{asked:?}");
    for (name, value) in [
        ("client_id", CLIENT_ID),
        ("code_challenge_method", "S256"),
        ("redirect_uri", &*house.url("/.vestibule/callback")),
        ("response_mode", "query"),
        ("response_type", "code"),
        ("scope", "openid profile email"),
    ] {
        assert_eq!(field(&asked, name), Some(value));
    }
    for secret in ["state", "nonce", "code_challenge"] {
        assert_eq!(field(&asked, secret).unwrap().len(), 43, "{secret}");
    }
}

#[tokio::test]
async fn a_person_is_signed_in_and_the_app_is_told_who_it_is() {
    // S-002, S-010, S-136, S-137, S-147, S-179, S-180
    for entra in [false, true] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let house = if entra {
                entra_house().await
            } else {
                house().await
            };
            let mut browser = house.browser();
            if version == Version::HTTP_2 {
                browser = browser.http2();
            }
            house.idp.signs_in(person("bob"));
            let there = signs_in(&house, &mut browser).await;
            assert_eq!(there.version, version);
            let seen = house.app.only_request();
            assert_eq!(seen.target, PAGE);
            assert_eq!(seen.header("x-forwarded-user"), Some("bob@corp.example"));
            assert_eq!(
                seen.header("x-forwarded-host"),
                Some(&*house.vestibule.authority(HOST))
            );
            assert_eq!(seen.header("cookie"), None, "ours are for us");
            assert_eq!(house.idp.token_requests().len(), 1);
            assert_eq!(house.sign_ins("signed_in"), 1);
            assert_eq!(browser.refused_cookies(), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn no_two_attempts_share_a_secret() {
    // S-067, S-174
    let house = house().await;
    let mut secrets = BTreeSet::new();
    for _ in 0..20 {
        let away = house.browser().view(&house.url("/")).await;
        let to = away.redirects_to().unwrap();
        for (name, value) in to.query_pairs() {
            if matches!(&*name, "state" | "nonce" | "code_challenge") {
                secrets.insert(value.into_owned());
            }
        }
    }
    assert_eq!(secrets.len(), 60);
}

#[tokio::test]
async fn the_scopes_asked_for_are_those_that_are_configured() {
    // S-136
    let house = built(
        |idp| idp,
        |house, _| house.main("scopes = [\"openid\", \"groups.read\"]"),
    )
    .await;
    house.browser_of("ann").await;
    let asked = house.idp.authorization_requests();
    assert_eq!(field(&asked[0], "scope"), Some("openid groups.read"));
}

#[tokio::test]
async fn nothing_of_a_request_but_the_page_shapes_the_authorization_request() {
    // S-078, S-179
    let house = house().await;
    let odd = "scope=admin&prompt=none&login_hint=x&redirect_uri=https://evil.test/&client_id=x\
               &response_type=token&response_mode=fragment&acr_values=0&nonce=n&state=s\
               &code_challenge=c&code_challenge_method=plain&max_age=0&request_uri=https://evil.test/";
    for path in [
        format!("/page?{odd}"),
        format!("/.vestibule/login?{odd}"),
        format!("/.vestibule/login?return=/page&{odd}"),
    ] {
        let away = house.browser().view(&house.url(&path)).await;
        assert_eq!(away.status, 302, "{path}");
        check_request(&house, &away.redirects_to().unwrap());
    }
}

#[tokio::test]
async fn the_redirect_uri_is_the_configured_one_whatever_headers_claim() {
    // S-029, S-179
    let house = house().await;
    for (name, value) in [
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-port", "1"),
        ("x-original-host", "evil.test"),
        ("x-host", "evil.test"),
        ("forwarded", "host=evil.test;proto=http"),
        ("x-forwarded-prefix", "//evil.test"),
        ("x-original-url", "https://evil.test/"),
        ("x-rewrite-url", "//evil.test"),
    ] {
        let request = crate::support::client::page_view(http::Request::get(house.url("/a")));
        let request = request
            .header(name, value)
            .body(bytes::Bytes::new())
            .unwrap();
        let mut browser = house.browser();
        let away = browser.send(request).await;
        check_request(&house, &away.redirects_to().unwrap());
        let back = browser.view(away.redirects_to().unwrap().as_str()).await;
        let back = browser.view(back.redirects_to().unwrap().as_str()).await;
        assert_eq!(back.header("location"), Some(&*house.url("/a")), "{name}");
    }
}

#[tokio::test]
async fn a_host_that_is_not_the_connections_gets_no_redirect() {
    // S-179, S-224
    let house = house().await;
    let port = house.vestibule.url("x", "");
    let port = Url::parse(&port).unwrap().port().unwrap();
    for host in [
        "evil.test",
        &*format!("evil.test:{port}"),
        HOST,
        "wiki.example.",
        "@evil.test",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n");
        let said = house.vestibule.raw(HOST).say(head).await;
        assert!(
            matches!(said.statuses()[..], [400 | 421]),
            "{host}: {}",
            said.text()
        );
        let text = said.text().to_ascii_lowercase();
        assert!(
            !text.contains("location:") && !text.contains("evil"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn redirects_tell_nobody_where_they_came_from_and_are_kept_by_nobody() {
    // S-180, S-181
    let house = house().await;
    let mut browser = house.browser();
    let away = browser.view(&house.url("/page")).await;
    let back = house.way_back(&mut browser, "/page").await;
    let back = browser.view(back.as_str()).await;
    assert_eq!((away.status.as_u16(), back.status.as_u16()), (302, 303));
    let broken = browser
        .view(&house.url("/.vestibule/callback?code=secret-code"))
        .await;
    for answer in [&away, &back, &broken] {
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    }
    assert!(!back.header("location").unwrap().contains("code="));
    assert!(!broken.text().contains("secret-code"));
    for foreign in ["http://", "https://", "src=\"//"] {
        assert!(
            !broken.text().contains(foreign),
            "nothing of elsewhere is loaded"
        );
    }
}

#[tokio::test]
async fn a_finished_sign_in_leaves_no_attempt_behind() {
    let house = house().await;
    let browser = house.browser_of("ann").await;
    let names = browser.cookie_names(&house.url("/"));
    assert!(
        !names.iter().any(|name| name.starts_with(ATTEMPT)),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_sign_in_at_a_generic_provider_sends_its_credentials_as_the_metadata_says() {
    // S-137: the secret holds what has to be encoded on the way.
    let house = house().await;
    house.browser_of("ann").await;
    let asked = house.idp.token_requests();
    assert!(
        asked[0]
            .authorization
            .as_deref()
            .unwrap()
            .starts_with("Basic ")
    );
    assert_eq!(field(&asked[0].form, "client_secret"), None);
    let callback = house.url("/.vestibule/callback");
    assert_eq!(field(&asked[0].form, "redirect_uri"), Some(&*callback));
}
