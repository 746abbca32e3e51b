//! How many cookies there may be, and what becomes of heaps and oddities of them.

use bytes::Bytes;
use http::Request;

use crate::support::{
    client::page_view,
    house::{ATTEMPT, HOST, house},
};

#[tokio::test]
async fn one_browser_never_holds_more_than_five_attempts_or_eight_kilobytes() {
    // S-080
    let house = house().await;
    for path in ["/page".to_owned(), format!("/{}", "a".repeat(2000))] {
        let mut browser = house.browser();
        let url = house.url(&path);
        let mut last = None;
        for _ in 0..250 {
            let away = browser.view(&url).await;
            assert_eq!(away.status, 302);
            last = away.redirects_to();
            let names = browser.cookie_names(&url);
            let bytes: usize = names
                .iter()
                .map(|name| name.len() + browser.cookie(&url, name).unwrap().len())
                .sum();
            assert!(names.len() <= 5, "{names:?}");
            assert!(bytes <= 8 * 1024, "{bytes}");
        }
        // The youngest is among them.
        let back = browser
            .view(last.unwrap().as_str())
            .await
            .redirects_to()
            .unwrap();
        assert_eq!(browser.view(back.as_str()).await.status, 303);
    }
}

#[tokio::test]
async fn attempts_side_by_side_do_not_disturb_one_another() {
    let house = house().await;
    let mut browser = house.browser();
    let one = house.way_back(&mut browser, "/one").await;
    let two = house.way_back(&mut browser, "/two").await;
    for (back, path) in [(one, "/one"), (two, "/two")] {
        let answer = browser.view(back.as_str()).await;
        assert_eq!(answer.header("location"), Some(&*house.url(path)));
    }
}

#[tokio::test]
async fn odd_cookies_and_empty_forms_disturb_no_endpoint_of_ours() {
    // S-076
    let house = house().await;
    let bomb = "__Host-vestibule-login-0000000".repeat(500);
    let many: Vec<_> = (0..900).map(|at| format!("{ATTEMPT}{at:08x}=x")).collect();
    let many = many.join("; ");
    let chunks = "__Host-vestibule_1=a; __Host-vestibule_999999999999=b; vst_0=; vst_-1=c";
    for name in [
        "login",
        "logout",
        "callback",
        "me",
        "signed-out",
        "frontchannel-logout",
        "",
        "x",
        "jwks.json",
        "consent",
        "../login",
        "login/",
        "LOGIN",
        "%6cogin",
    ] {
        let url = house.url(&format!("/.vestibule/{name}"));
        for cookies in [
            ";;;;",
            "=",
            "=;=;=",
            "a",
            "\"",
            "; ",
            &bomb,
            &many,
            chunks,
            "a=\u{fffd}",
        ] {
            let request = page_view(Request::get(&url)).header("cookie", cookies.as_bytes());
            let answer = house
                .browser()
                .send(request.body(Bytes::new()).unwrap())
                .await;
            assert!(
                answer.status.as_u16() < 500,
                "{name} {}: {cookies:.30}",
                answer.status
            );
        }
        for (kind, body) in [
            (None, ""),
            (Some("application/x-www-form-urlencoded"), ""),
            (Some("application/x-www-form-urlencoded"), "&&=&="),
            (
                Some("application/x-www-form-urlencoded"),
                "token=%ff&return=%00",
            ),
            (Some("application/json"), "{}"),
            (Some("multipart/form-data; boundary=x"), "--x--"),
            (Some("\u{e4}"), "x"),
        ] {
            let mut request = Request::post(&url);
            if let Some(kind) = kind {
                request = request.header("content-type", kind.as_bytes());
            }
            let answer = house
                .browser()
                .send(request.body(Bytes::from(body)).unwrap())
                .await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 303 | 400..=499), "POST {name}: {status}");
        }
    }
    house.app.assert_silent().await;
    house.assert_no_panic();
}

#[tokio::test]
async fn a_form_of_ours_is_read_to_a_limit() {
    // S-076
    let house = house().await;
    let mut browser = house.browser_of("ann").await;
    let big = "x".repeat(64 * 1024);
    let answer = browser
        .post(&house.url("/.vestibule/logout"), &[("token", &big)])
        .await;
    assert_eq!(answer.status, 403);
    assert!(house.is_in(&mut browser).await);
    let said = format!(
        "POST /.vestibule/logout HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        house.vestibule.authority(HOST)
    );
    assert_eq!(house.vestibule.raw(HOST).say(said).await.statuses(), [303]);
}
