//! What a browser may bring to the callback beside its state: parameters that are doubled, missing or
//! of another provider, and errors.

use super::{OTHER_HOST, assert_refused_without_asking, parameter, with};
use crate::support::{
    house::{ATTEMPT, HOST, SESSION, assert_refused_kindly, built, cookies_set, house},
    issuer::{Authorization, IssuerBuilder},
};

#[tokio::test]
async fn doubled_parameters_are_refused_without_a_token_request() {
    // S-079
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let (code, state) = (parameter(&back, "code"), parameter(&back, "state"));
    for extra in [
        format!("&code={code}"),
        "&code=other".to_owned(),
        format!("&state={state}"),
        "&state=".to_owned(),
        "&%73tate=x".to_owned(),
        "&iss=a&iss=a".to_owned(),
        "&error=access_denied".to_owned(),
    ] {
        let url = format!("{back}{extra}");
        assert_refused_without_asking(&house, &mut browser, &url).await;
    }
    assert_eq!(house.sign_ins("doubled_parameter"), 6);
    assert_eq!(house.sign_ins("error_with_code"), 1);
}

#[tokio::test]
async fn tokens_of_the_front_channel_are_never_used() {
    // S-146, S-185
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    for extra in ["&id_token=e30.e30.e30", "&access_token=opaque"] {
        let url = format!("{back}{extra}");
        assert_refused_without_asking(&house, &mut browser, &url).await;
        let url = with(&back, &[("code", None)]) + extra;
        assert_refused_without_asking(&house, &mut browser, &url).await;
    }
    assert_eq!(house.sign_ins("front_channel_token"), 4);
    // What stands behind a `#` never reaches us: without a code there is nothing.
    let url = with(&back, &[("code", None)]);
    let answer = assert_refused_without_asking(&house, &mut browser, &url).await;
    assert!(!answer.text().contains("opaque"));
}

#[tokio::test]
async fn the_answers_issuer_must_be_the_one_that_was_asked() {
    // S-178 (RFC 9207): right, wrong, almost right, missing although announced, doubled.
    let shapes: [fn(IssuerBuilder) -> IssuerBuilder; 2] =
        [|idp| idp, IssuerBuilder::announcing_issuer];
    for shape in shapes {
        let house = built(shape, |house, _| house).await;
        let announced = house.idp.issuer();
        for (iss, good) in [
            (Some("https://evil.test".to_owned()), false),
            (Some(format!("{announced}/")), false),
            (Some(announced.to_uppercase()), false),
            (Some(String::new()), false),
            (Some(announced), true),
        ] {
            let asked = house.idp.token_requests().len();
            let mut browser = house.browser();
            let back = house.way_back(&mut browser, "/").await;
            let url = with(&back, &[("iss", iss.as_deref())]);
            let answer = browser.view(&url).await;
            if good {
                assert_eq!(answer.status, 303);
            } else {
                assert_refused_kindly(&answer);
                assert_eq!(house.idp.token_requests().len(), asked, "{iss:?}");
            }
        }
        assert_eq!(house.sign_ins("answer_issuer_mismatch"), 4);
    }
    let house = built(IssuerBuilder::announcing_issuer, |house, _| house).await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let url = with(&back, &[("iss", None)]);
    assert_refused_without_asking(&house, &mut browser, &url).await;
    assert_eq!(house.sign_ins("answer_issuer_missing"), 1);
    house.browser_of("ann").await;
}

#[tokio::test]
async fn an_answer_of_the_other_provider_is_refused() {
    // S-178: a code of provider two for an attempt at provider one.
    let time = crate::support::clock::manual();
    let [one, two] = [(); 2].map(|()| {
        crate::support::issuer::honest(&time)
            .announcing_issuer()
            .run()
    });
    let app = crate::support::upstream::echo().run();
    let vestibule = crate::support::vestibule::at(&time)
        .route("wiki", HOST, "idp = \"one\"\nallow = \"signed-in\"", &app)
        .route(
            "erp",
            OTHER_HOST,
            "idp = \"two\"\nallow = \"signed-in\"",
            &app,
        )
        .provider("one", &one)
        .provider("two", &two)
        .run();
    vestibule.can_sign_in(HOST).await;
    vestibule.can_sign_in(OTHER_HOST).await;
    let mut browser = vestibule.browser();
    let mut backs = Vec::new();
    for host in [HOST, OTHER_HOST] {
        let trail = browser.follow(&vestibule.url(host, "/"), 1).await;
        backs.push(trail[1].redirects_to().unwrap());
    }
    let (code, iss) = (parameter(&backs[1], "code"), parameter(&backs[1], "iss"));
    let mixed = with(&backs[0], &[("code", Some(&code)), ("iss", Some(&iss))]);
    assert_refused_kindly(&browser.view(&mixed).await);
    assert!(one.token_requests().is_empty() && two.token_requests().is_empty());
    assert_eq!(browser.view(backs[1].as_str()).await.status, 303);
}

/// Word and description of an error, and what becomes of it: reason, status, and a piece of the page.
const ERRORS: [(&str, &str, &str, u16, &str); 14] = [
    ("access_denied", "", "access_denied", 400, "was cancelled"),
    (
        "access_denied",
        "AADSTS65004: x",
        "access_denied",
        403,
        "permission",
    ),
    (
        "login_required",
        "",
        "login_required",
        403,
        "step of the sign-in",
    ),
    (
        "interaction_required",
        "AADSTS50076: MFA",
        "interaction_required",
        403,
        "step of the sign-in",
    ),
    (
        "account_selection_required",
        "",
        "account_selection_required",
        403,
        "step",
    ),
    (
        "consent_required",
        "AADSTS65001: x",
        "consent_required",
        403,
        "approve",
    ),
    (
        "unauthorized_client",
        "",
        "unauthorized_client",
        500,
        "not set up",
    ),
    (
        "invalid_request",
        "AADSTS50011: x",
        "invalid_request",
        500,
        "not set up",
    ),
    ("invalid_scope", "", "invalid_scope", 500, "not set up"),
    (
        "unsupported_response_type",
        "",
        "unsupported_response_type",
        500,
        "not set up",
    ),
    (
        "server_error",
        "",
        "provider_passing_fault",
        503,
        "not possible right now",
    ),
    (
        "temporarily_unavailable",
        "",
        "provider_passing_fault",
        503,
        "not possible right now",
    ),
    (
        "something_else",
        "secret text",
        "provider_refused",
        403,
        "was refused",
    ),
    ("", "", "provider_refused", 403, "was refused"),
];

#[tokio::test]
async fn every_error_word_of_a_provider_ends_in_a_page_that_offers_a_new_start() {
    // S-186, S-203: no loop, no token request, and nothing of the description on the page.
    let house = house().await;
    for (word, description, reason, status, says) in ERRORS {
        let before = house.sign_ins(reason);
        let (error, text) = (word.to_owned(), description.to_owned());
        house
            .idp
            .lie(|it| it.authorization = Authorization::Error(error, text));
        let mut browser = house.browser();
        let answer = house.come_back(&mut browser).await;
        assert_eq!(answer.status, status, "{word} {description}");
        let text = answer.text();
        assert!(text.contains(says), "{word}: {text}");
        assert!(
            !text.contains("secret text") && !text.contains("MFA"),
            "{text}"
        );
        assert!(
            status == 500 || text.contains("/.vestibule/login?return=%2Fpage"),
            "{text}"
        );
        assert_eq!(house.sign_ins(reason), before + 1, "{word}");
        assert!(
            !browser
                .cookie_names(&house.url("/"))
                .iter()
                .any(|it| it.starts_with(ATTEMPT))
        );
    }
    // With a state that is nobody's, the words of an error count for nothing.
    let url = house.url("/.vestibule/callback?error=access_denied&state=x");
    let answer = house.browser().view(&url).await;
    assert!(!answer.text().contains("cancelled"));
    assert_refused_kindly(&answer);
    assert!(house.idp.token_requests().is_empty());
    house.app.assert_silent().await;
}

#[tokio::test]
async fn odd_callbacks_are_the_clients_fault_and_nobody_elses() {
    // S-075
    let house = house().await;
    let long = format!("?code={}&state=x", "A".repeat(20_000));
    for query in [
        "",
        "?",
        "?&",
        "?&&&&",
        "?state",
        "?state=",
        "?code=&state=",
        "?code=A",
        "?state=S",
        "?code=A&state=S",
        "?error",
        "?error=",
        "?error=x",
        "?error=access_denied",
        "?error=x&state=",
        "?error=x&state=S",
        "?iss=x",
        "?session_state=x",
        "?code=A;state=S",
        "?code=%00&state=%00",
        "?code=%ff%fe&state=%ff",
        "?%63ode=A&%73tate=S",
        "?code[]=A&state[]=S",
        "?=",
        "?=&=",
        "?=x",
        "?code=A&state=S&foo=1&foo=2",
        "?code=+&state=+",
        "?%=%",
        "?%zz=%zz",
        "?state=%F0%9F%A6%80",
        "?code=A&state=S&response=jwt",
        "?code=A&state=%0d%0aSet-Cookie:x=1",
        &long,
    ] {
        let url = house.url(&format!("/.vestibule/callback{query}"));
        for page in [true, false] {
            let mut browser = house.browser();
            let answer = if page {
                browser.view(&url).await
            } else {
                browser.get(&url).await
            };
            assert!(
                answer.status.is_client_error(),
                "{query}: {}",
                answer.status
            );
            assert!(cookies_set(&answer, SESSION).is_empty());
            assert!(answer.headers.get("x").is_none());
        }
    }
    assert!(house.idp.token_requests().is_empty());
    house.assert_no_panic();
}

#[tokio::test]
async fn a_query_beyond_every_limit_is_refused_and_the_next_request_is_not() {
    // S-075
    let house = house().await;
    let head = format!(
        "GET /.vestibule/callback?code={} HTTP/1.1\r\nHost: {}\r\n\r\n",
        "A".repeat(1 << 20),
        house.vestibule.authority(HOST)
    );
    let said = house.vestibule.raw(HOST).say(head).await;
    assert!(
        said.statuses()
            .iter()
            .all(|status| (400..500).contains(status)),
        "{}",
        said.text()
    );
    house.browser_of("ann").await;
    house.assert_no_panic();
}

#[tokio::test]
async fn a_form_never_finishes_a_sign_in() {
    // S-148: answers come by query; a POST is not for this address.
    let house = house().await;
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let (code, state) = (parameter(&back, "code"), parameter(&back, "state"));
    let fields = [("code", &*code), ("state", &*state)];
    let answer = browser
        .post(&house.url("/.vestibule/callback"), &fields)
        .await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET"));
    let answer = browser.post(back.as_str(), &[]).await;
    assert_eq!(answer.status, 405);
    assert!(house.idp.token_requests().is_empty());
    assert_eq!(browser.view(back.as_str()).await.status, 303);
}
