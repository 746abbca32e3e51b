//! Session and attempt cookies: what makes one, what none, and how many there may be.

use bytes::Bytes;
use http::Request;

use super::OTHER_HOST;
use crate::support::{
    client::{Browser, page_view},
    house::{ATTEMPT, House, SESSION, built, cookies_set, house, is_in},
    issuer::person,
    vestibule::Builder,
};

/// The value of a browser's session cookie on the first host.
fn session_of(house: &House, browser: &Browser) -> String {
    browser.cookie(&house.url("/"), SESSION).unwrap()
}

/// What a page view and a script get that bring these `Cookie` lines and nothing else.
async fn asked_with(house: &House, lines: &[&[u8]]) -> [u16; 2] {
    let mut statuses = [0; 2];
    for (at, accept) in ["text/html", "*/*"].into_iter().enumerate() {
        let mut request = Request::get(house.url("/page")).header("accept", accept);
        for line in lines {
            request = request.header("cookie", *line);
        }
        let answer = house
            .browser()
            .send(request.body(Bytes::new()).unwrap())
            .await;
        statuses[at] = answer.status.as_u16();
    }
    statuses
}

#[tokio::test]
async fn an_odd_session_cookie_is_no_session_and_no_fault() {
    // S-050, S-046
    let house = house().await;
    let good = session_of(&house, &house.browser_of("ann").await);
    let before = house.app.requests().len();
    let of = |value: &str| format!("{SESSION}={value}");
    let long = "A".repeat(4096);
    let mut odd: Vec<Vec<Vec<u8>>> = [
        "",
        "=",
        "\"",
        "\"\"",
        "A",
        "%00",
        "null",
        "undefined",
        "deleted",
        "e30",
        "!!!!",
        &good[..42],
        &format!("{good}A"),
        &format!("{good}="),
        &format!("\"{good}\""),
        &good.replace(|_: char| true, "A"),
        &good.to_uppercase(),
        &long,
    ]
    .into_iter()
    .map(|value| vec![of(value).into_bytes()])
    .collect();
    odd.push(vec![format!("{SESSION}=\u{e4}\u{1f980}").into_bytes()]);
    odd.push(vec![b"__Host-vestibule=\xff\xfe\x80".to_vec()]);
    // Two of one name: good and bad, bad and good, good twice; in one line or in two.
    for [one, two] in [[&*good, "x"], ["x", &*good], [&*good, &*good], ["", &*good]] {
        odd.push(vec![format!("{}; {}", of(one), of(two)).into_bytes()]);
        odd.push(vec![of(one).into_bytes(), of(two).into_bytes()]);
    }
    // Other spellings of the name (S-188), and what other gateways call theirs.
    for name in [
        "__host-vestibule",
        "__HOST-vestibule",
        "=__Host-vestibule",
        "__Host-vestibule-login",
        "vestibule",
        "__Secure-vestibule",
        "IdToken",
        "BearerToken",
        "session",
        "_oauth2_proxy",
    ] {
        odd.push(vec![format!("{name}={good}").into_bytes()]);
    }
    for lines in &odd {
        let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
        assert_eq!(asked_with(&house, &lines).await, [302, 401], "{lines:?}");
    }
    assert_eq!(house.app.requests().len(), before, "nothing was forwarded");
    assert_eq!(
        asked_with(&house, &[of(&good).as_bytes()]).await,
        [200, 200]
    );
    house.assert_no_panic();
}

#[tokio::test]
async fn no_other_credential_stands_in_for_a_session() {
    // S-046
    let house = house().await;
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
        ("authorization", "Basic YW5uOnNlY3JldA=="),
        ("proxy-authorization", "Bearer x"),
        ("x-forwarded-user", "ann@corp.example"),
        ("x-forwarded-access-token", "x"),
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "GoogleHC/1.0"),
        ("x-ms-client-principal", "e30="),
        ("cookie", "IdToken=x; BearerToken=y"),
    ] {
        for path in [
            "/page",
            "/page?access_token=x&id_token=y&__Host-vestibule=z",
        ] {
            let request = Request::get(house.url(path)).header(name, value);
            let answer = house
                .browser()
                .send(request.body(Bytes::new()).unwrap())
                .await;
            assert_eq!(answer.status, 401, "{name}: {value}");
            let request = page_view(Request::get(house.url(path))).header(name, value);
            let answer = house
                .browser()
                .send(request.body(Bytes::new()).unwrap())
                .await;
            assert_eq!(answer.status, 302, "{name}: {value}");
        }
    }
    house.app.assert_silent().await;
}

#[tokio::test]
async fn a_sign_in_ends_the_session_that_was_there() {
    // S-051: also on top of another person's.
    let house = house().await;
    for then in ["ann", "bob"] {
        let mut browser = house.browser_of("ann").await;
        let before = session_of(&house, &browser);
        house.idp.signs_in(person(then));
        let back = house.way_back(&mut browser, "/.vestibule/login").await;
        browser.view(back.as_str()).await;
        let after = session_of(&house, &browser);
        assert_ne!(before, after);
        let old = format!("{SESSION}={before}");
        assert_eq!(asked_with(&house, &[old.as_bytes()]).await, [302, 401]);
        browser.get(&house.url("/who")).await;
        let seen = house.app.requests();
        let who = format!("{then}@corp.example");
        assert_eq!(seen.last().unwrap().header("x-forwarded-user"), Some(&*who));
    }
}

#[tokio::test]
async fn an_id_that_somebody_planted_never_becomes_a_session() {
    // S-052: unknown ones, and one that is an attacker's own.
    let house = house().await;
    let attackers = session_of(&house, &house.browser_of("mallory").await);
    for planted in ["A".repeat(43), "known".to_owned(), attackers.clone()] {
        let mut victim = house.browser();
        let line = format!("{SESSION}={planted}; Path=/; Secure");
        victim.set_cookie(&house.url("/"), &line);
        let back = house
            .way_back(&mut victim, "/.vestibule/login?return=/")
            .await;
        victim.view(back.as_str()).await;
        assert_ne!(session_of(&house, &victim), planted);
        assert!(house.is_in(&mut victim).await);
        let old = format!("{SESSION}={planted}");
        assert_eq!(asked_with(&house, &[old.as_bytes()]).await, [302, 401]);
    }
}

#[tokio::test]
async fn our_cookies_have_the_attributes_that_browsers_ask_for() {
    // S-053, S-276: parsed as browsers do, and word by word.
    let house = house().await;
    let mut browser = house.browser();
    let away = browser.view(&house.url("/")).await;
    let attempt = away.header("set-cookie").unwrap().to_owned();
    assert!(attempt.starts_with(ATTEMPT));
    assert!(attempt.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"));
    let back = browser.view(away.redirects_to().unwrap().as_str()).await;
    let back = browser.view(back.redirects_to().unwrap().as_str()).await;
    let session = cookies_set(&back, SESSION).remove(0);
    let (pair, attributes) = session.split_once("; ").unwrap();
    assert_eq!(pair.len(), SESSION.len() + 1 + 43, "32 random bytes");
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");

    let request = Request::get(house.url("/.vestibule/logout"))
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    let out = browser.send(request.body(Bytes::new()).unwrap()).await;
    let gone = out.header("set-cookie").unwrap();
    assert_eq!(
        gone,
        format!("{SESSION}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
    );
    assert_eq!(browser.cookie(&house.url("/"), SESSION), None);
    assert_eq!(browser.refused_cookies(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cookie_that_was_kept_is_worth_nothing_after_signing_out() {
    // S-054
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let kept = format!("{SESSION}={}", session_of(&house, &browser));
    assert_eq!(asked_with(&house, &[kept.as_bytes()]).await, [200, 200]);
    let request = Request::get(house.url("/.vestibule/logout"))
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    browser.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(asked_with(&house, &[kept.as_bytes()]).await, [302, 401]);
    assert_eq!(house.vestibule.sessions().live(), 0);
}

/// Routes with other rules: by path on the same host, and a whole other host.
fn stricter_routes(house: Builder, app: &crate::support::upstream::Echo) -> Builder {
    house
        .route(
            "admin",
            "wiki.example/admin",
            "[allow]\nroles = [\"Admin\"]",
            app,
        )
        .route("erp", OTHER_HOST, "[allow]\nroles = [\"Erp\"]", app)
}

#[tokio::test]
async fn every_request_is_judged_by_the_rules_of_its_own_route() {
    // S-058: warm on the weak route first, and between the strict ones.
    let house = built(|idp| idp, stricter_routes).await;
    let mut ann = house.browser_of("ann").await;
    let mut boss = house.browser();
    house
        .sign_in(&mut boss, person("boss").roles(&["Admin"]))
        .await;
    for _ in 0..2 {
        for (path, anns, bosss) in [
            ("/", 200, 200),
            ("/admin", 403, 200),
            ("/admin/x", 403, 200),
            ("/administrator", 200, 200),
            ("//admin/x", 403, 200),
            ("/a/..%2fadmin", 403, 200),
        ] {
            assert_eq!(
                ann.get(&house.url(path)).await.status,
                anns,
                "ann at {path}"
            );
            assert_eq!(
                boss.get(&house.url(path)).await.status,
                bosss,
                "boss at {path}"
            );
        }
    }
    for seen in house.app.requests() {
        let boss = seen.header("x-forwarded-user") == Some("boss@corp.example");
        assert!(boss || !seen.target.contains("/admin/"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_session_of_one_host_is_none_on_another() {
    // S-058: the cookie of one host carried to the other.
    let house = built(
        |idp| idp,
        |house, app| house.route("erp", OTHER_HOST, "allow = \"signed-in\"", app),
    )
    .await;
    let mut browser = house.browser_of("ann").await;
    let value = session_of(&house, &browser);
    let elsewhere = house.vestibule.url(OTHER_HOST, "/");
    browser.set_cookie(&elsewhere, &format!("{SESSION}={value}; Path=/; Secure"));
    assert!(!is_in(&mut browser, &elsewhere).await);
    let answer = browser.get(&elsewhere).await;
    assert_eq!(answer.json()["reason"], "foreign_session");
    // It did not end by that, and cannot be ended from there.
    let request = Request::get(house.vestibule.url(OTHER_HOST, "/.vestibule/logout"))
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document");
    browser.send(request.body(Bytes::new()).unwrap()).await;
    assert!(house.is_in(&mut browser).await);
}

#[tokio::test]
async fn a_text_of_one_kind_is_never_taken_for_another() {
    // S-060
    let house = house().await;
    let url = house.url("/");
    let mut browser = house.browser();
    let back = house.way_back(&mut browser, "/").await;
    let names = browser.cookie_names(&url);
    let attempt_name = names
        .iter()
        .find(|name| name.starts_with(ATTEMPT))
        .unwrap()
        .clone();
    let attempt = browser.cookie(&url, &attempt_name).unwrap();
    let state = back
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    browser.view(back.as_str()).await;
    let session = session_of(&house, &browser);
    let trail = browser.cookie(&url, "__Host-vestibule-trail").unwrap();
    let page = browser
        .view(&house.url("/.vestibule/logout?return=/x"))
        .await;
    let form = page.text().split("name=\"token\" value=\"").nth(1).unwrap();
    let form = form.split('"').next().unwrap().to_owned();
    let before = house.app.requests().len();

    for (what, text) in [
        ("attempt", &attempt),
        ("state", &state),
        ("trail", &trail),
        ("form", &form),
    ] {
        let line = format!("{SESSION}={text}");
        assert_eq!(
            asked_with(&house, &[line.as_bytes()]).await,
            [302, 401],
            "{what} as session"
        );
    }
    let texts = [
        ("session", &session),
        ("attempt", &attempt),
        ("state", &state),
        ("trail", &trail),
    ];
    for (what, text) in texts {
        let fields = [("token", &**text), ("return", "/")];
        let answer = browser
            .post(&house.url("/.vestibule/logout"), &fields)
            .await;
        assert_eq!(answer.status, 403, "{what} as a form's token");
    }
    for (what, text) in [("session", &session), ("trail", &trail), ("form", &form)] {
        let mut other = house.browser();
        let back = house.way_back(&mut other, "/").await;
        let names = other.cookie_names(&url);
        let name = names.iter().find(|name| name.starts_with(ATTEMPT)).unwrap();
        other.set_cookie(&url, &format!("{name}={text}; Path=/; Secure"));
        let asked = house.idp.token_requests().len();
        let answer = other.view(back.as_str()).await;
        assert!(
            !answer.status.is_success() && !answer.status.is_redirection(),
            "{what} as attempt"
        );
        assert_eq!(house.idp.token_requests().len(), asked);
    }
    for (what, text) in [
        ("attempt", &attempt),
        ("trail", &trail),
        ("form", &form),
        ("session", &session),
    ] {
        let answer = browser
            .view(&house.url(&format!("/.vestibule/signed-out?state={text}")))
            .await;
        assert!(
            answer.text().contains("login?return=%2F\""),
            "{what} as a sign-out's state"
        );
    }
    assert_eq!(house.app.requests().len(), before);
    assert!(house.is_in(&mut browser).await);
}
