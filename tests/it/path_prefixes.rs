//! A route whose app lies elsewhere: what is judged and what the app sees, and what people see of its
//! answers, through the whole application.

use serde_json::json;

use crate::support::{
    front::{Front, HOST, front},
    upstream::{self, Echo},
    wire::{Ask, PROTOCOLS, ask},
};

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/app/open/*\"\n[upstream]\n\
                     strip_prefix = \"/app\"\nadd_prefix = \"/back\"";

fn mapped(app: &Echo) -> Front {
    front(|it| it.route("wiki", &format!("{HOST}/app"), RULES, app))
}

#[tokio::test]
async fn rules_see_the_public_path_and_the_app_its_own() {
    // S-004, S-038, S-039
    let app = upstream::echo().run();
    let front = mapped(&app);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (target, cookie, seen) in [
            ("/app/open/x?y=%2f..", "", Some("/back/open/x?y=%2f..")),
            ("/app/x%20y", &*session, Some("/back/x%20y")),
            ("/app", &session, Some("/back")),
            ("/app/x", "", None),
            ("/open/x", &session, None),
            ("/back/open/x", &session, None),
            ("/application", &session, None),
        ] {
            let mut asked = ask("GET", target).with("X-Forwarded-Prefix", "/evil");
            if !cookie.is_empty() {
                asked = asked.with("Cookie", cookie);
            }
            let before = app.requests().len();
            let reply = wire.ask(&asked).await;
            assert_eq!(reply.status == 200, seen.is_some(), "{target}");
            let requests = app.requests();
            let Some(seen) = seen else {
                assert_eq!(requests.len(), before, "{target}");
                continue;
            };
            let got = requests.last().unwrap();
            assert_eq!(got.target, seen);
            assert_eq!(got.all("x-forwarded-prefix"), ["/app"]);
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out() {
    // S-034, S-037, S-038, S-043
    let app = upstream::echo().run();
    let front = mapped(&app);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for rest in [
            "/../x",
            "/open/../../x",
            "/%2e%2e/x",
            "/a%2f..%2f..%2fx",
            "/..;/x",
            "/..%5cx",
            "/%252e%252e/x",
            "//x",
            "/%2fx",
            "/open/%2e%2e/%2e%2e/x",
        ] {
            let target = format!("/app{rest}");
            let reply = wire.ask(&ask("GET", &target)).await;
            assert_eq!(reply.status, 401, "{target}: never public");
            let reply = wire
                .ask(&ask("GET", &target).with("Cookie", &session))
                .await;
            assert_eq!(reply.status, 400, "{target}");
            assert_eq!(reply.reason(), "ambiguous_path", "{target}");
        }
    }
    assert!(app.requests().is_empty());
}

#[tokio::test]
async fn answers_lead_where_people_find_the_app() {
    // S-029, S-232
    let app = upstream::echo()
        .answering(|seen| {
            let host = seen.header("x-inner").unwrap().to_owned();
            http::Response::builder()
                .status(302)
                .header("location", format!("http://{host}/back/next?x"))
                .header("content-location", "/back/here")
                .header("refresh", "1; url=/back/later")
                .header("set-cookie", "a=1; Domain=127.0.0.1; Path=/back/")
                .header("set-cookie", "b=2; Domain=example; Path=/")
                .header("link", "</back/style.css>; rel=preload")
                .body(http_body_util::Full::default())
                .unwrap()
        })
        .run();
    let front = mapped(&app);
    let inner = app.address().to_string();
    let public = front.vestibule.url(HOST, "");
    for protocol in PROTOCOLS {
        let asked: Ask = ask("GET", "/app/open/x").with("X-Inner", &inner);
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!(reply.status, 302);
        let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
        let cookies: Vec<_> = cookies.iter().map(|it| it.to_str().unwrap()).collect();
        let seen = json!([
            reply.header("location"),
            reply.header("content-location"),
            reply.header("refresh"),
            reply.header("link"),
            cookies,
        ]);
        let expected = json!([
            format!("{public}/app/next?x"),
            "/app/here",
            "1; url=/app/later",
            "</back/style.css>; rel=preload",
            ["a=1; Path=/app", "b=2; Domain=example; Path=/app"],
        ]);
        assert_eq!(seen, expected, "{protocol:?}");
    }
}
