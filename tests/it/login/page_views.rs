//! Who is redirected to a provider: people who open a page, and nobody else.

use bytes::Bytes;
use http::{Method, Request};

use crate::support::{
    client::{Answer, page_view},
    house::{House, built, house},
};

/// A request without cookies, with these headers beside `Host`.
async fn ask(house: &House, method: &Method, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(house.url("/page?x=1"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house
        .browser()
        .send(request.body(Bytes::new()).unwrap())
        .await
}

fn assert_problem(answer: &Answer) {
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test]
async fn only_page_views_are_redirected() {
    // S-002
    let house = house().await;
    for headers in [
        &[PAGE][..],
        &[PAGE, ("sec-fetch-mode", "navigate")],
        &[
            PAGE,
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ],
        &[("accept", "TEXT/HTML;q=0.1")],
    ] {
        let answer = ask(&house, &Method::GET, headers).await;
        assert_eq!(answer.status, 302, "{headers:?}");
        assert!(answer.header("set-cookie").is_some());
    }
    for headers in [
        &[][..],
        &[("accept", "*/*")],
        &[("accept", "application/json")],
        &[("accept", "text/htmlx, text/plain")],
        &[("accept", "text/event-stream")],
        &[PAGE, ("sec-fetch-mode", "cors")],
        &[PAGE, ("sec-fetch-mode", "no-cors")],
        &[PAGE, ("sec-fetch-mode", "same-origin")],
        &[PAGE, ("sec-fetch-mode", "websocket")],
        &[PAGE, ("x-requested-with", "XMLHttpRequest")],
        &[PAGE, ("x-requested-with", "")],
        &[PAGE, ("purpose", "prefetch")],
        &[PAGE, ("sec-purpose", "prefetch;prerender")],
        &[PAGE, ("x-moz", "prefetch")],
        &[PAGE, ("upgrade", "websocket"), ("connection", "upgrade")],
        &[PAGE, ("upgrade", "h2c"), ("connection", "upgrade")],
        &[PAGE, ("content-type", "application/grpc")],
    ] {
        let answer = ask(&house, &Method::GET, headers).await;
        assert_problem(&answer);
        let problem = answer.json();
        assert_eq!(problem["status"], 401);
        assert_eq!(problem["reason"], "no_session");
        assert_eq!(problem["login"], "/.vestibule/login?return=%2Fpage%3Fx%3D1");
        for member in ["type", "title", "request_id"] {
            assert!(problem[member].is_string(), "{member}");
        }
    }
    house.app.assert_silent().await;
}

#[tokio::test]
async fn other_methods_are_never_redirected() {
    // S-181: a form that was sent is not sent again somewhere else.
    let house = house().await;
    for method in [
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        let answer = ask(&house, &method, &[PAGE, ("sec-fetch-mode", "navigate")]).await;
        assert_eq!(answer.status, 401, "{method}");
        assert_eq!(answer.header("location"), None);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        // What a form was sent to is no page to come back to.
        assert!(
            answer
                .text()
                .contains("href=\"/.vestibule/login?return=%2F\"")
        );
        assert_problem(&ask(&house, &method, &[("accept", "*/*")]).await);
    }
    let head = ask(&house, &Method::HEAD, &[PAGE]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (401, 0));
    assert_eq!(
        (head.header("location"), head.header("set-cookie")),
        (None, None)
    );
    house.app.assert_silent().await;
}

#[tokio::test]
async fn a_route_may_show_its_sign_in_page_in_place() {
    // `browser = "page"`: the address, with its fragment, stays in the browser.
    let rules = "allow = \"signed-in\"\n[unauthenticated]\nbrowser = \"page\"";
    let house = built(
        |idp| idp,
        |house, app| house.route("page", "page.example", rules, app),
    )
    .await;
    let url = house.vestibule.url("page.example", "/a?b=c");
    let mut browser = house.browser();
    let answer = browser.view(&url).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("set-cookie"), None);
    let login = "/.vestibule/login?return=%2Fa%3Fb%3Dc";
    assert!(answer.text().contains(&format!("href=\"{login}\"")));
    assert_problem(&browser.get(&url).await);

    let login = house.vestibule.url("page.example", login);
    let trail = browser.follow(&login, 5).await;
    let last = trail.last().unwrap();
    assert_eq!((last.status.as_u16(), last.url.as_str()), (200, &*url));
}

#[tokio::test]
async fn a_route_of_machines_is_never_shown_a_page() {
    // `browser = "401"`
    let rules = "allow = \"signed-in\"\n[unauthenticated]\nbrowser = \"401\"";
    let house = built(
        |idp| idp,
        |house, app| house.route("api", "api.example", rules, app),
    )
    .await;
    let url = house.vestibule.url("api.example", "/a?b=c");
    assert_problem(&house.browser().view(&url).await);
    assert_problem(&house.browser().get(&url).await);
    let request = page_view(Request::post(&url)).body(Bytes::new()).unwrap();
    assert_problem(&house.browser().send(request).await);
    house.app.assert_silent().await;
}

#[tokio::test]
async fn signing_in_is_for_get_alone() {
    let house = house().await;
    for method in [Method::POST, Method::HEAD, Method::PUT, Method::DELETE] {
        let request = Request::builder()
            .method(&method)
            .uri(house.url("/.vestibule/login"));
        let answer = house
            .browser()
            .send(request.body(Bytes::new()).unwrap())
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, Some("GET")),
            "{method}"
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
}
