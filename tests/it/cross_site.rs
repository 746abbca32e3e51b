//! What another site, or a script of the app itself, can do to somebody who is signed in: `WebSocket`s
//! across sites, caches behind the back button, guesses about who is in, our own endpoints.

use bytes::Bytes;
use http::Request;

use crate::support::{
    client::{Answer, Browser, page_view},
    front::{HOST, SESSION_COOKIE, front, wiki},
    house::{House, house},
    issuer::person,
    upstream,
    wire::{Ask, PROTOCOLS, Protocol, ask},
};

/// Our own endpoints, and whether any page may frame the answer.
const OWN: [(&str, bool); 7] = [
    ("/.vestibule/callback?code=A&state=B", false),
    ("/.vestibule/frontchannel-logout?sid=x", true),
    ("/.vestibule/login?return=/page", false),
    ("/.vestibule/logout", false),
    ("/.vestibule/me", false),
    ("/.vestibule/nothing", false),
    ("/.vestibule/signed-out", false),
];

/// A WebSocket handshake as a script of `origin` makes it.
fn handshake(method: &str, path: &str, origin: Option<&str>) -> Ask {
    let asked = ask(method, path)
        .with("Connection", "keep-alive, Upgrade")
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
        .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    match origin {
        Some(origin) => asked.with("Origin", origin),
        None => asked,
    }
}

/// Origins of others, of nobody, and the route's own.
fn origins(own: &str) -> [Option<String>; 8] {
    [
        None,
        Some(own.to_owned()),
        Some("https://evil.test".to_owned()),
        Some("null".to_owned()),
        Some(format!("{own}.evil")),
        Some(format!("https://{HOST}:1")),
        Some(own.replacen("https", "http", 1)),
        Some(String::new()),
    ]
}

#[tokio::test]
async fn no_page_of_another_origin_asks_for_a_websocket() {
    // S-240: and none asks with anything but GET.
    let app = upstream::echo().run();
    let front = wiki(&app, "[[public]]\npath = \"/pub\"");
    let session = front.session(HOST).await;
    let own = front.vestibule.url(HOST, "");
    for origin in origins(&own) {
        for method in ["GET", "POST"] {
            let granted = match (method, &origin) {
                ("GET", Some(origin)) if *origin == own => 200,
                ("GET", _) => 403,
                _ => 400,
            };
            for (path, cookie, status) in [
                ("/socket", None, 401),
                ("/socket", Some(&session), granted),
                ("/pub", None, granted),
            ] {
                let mut asked = handshake(method, path, origin.as_deref());
                if let Some(cookie) = cookie {
                    asked = asked.with("Cookie", cookie);
                }
                let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
                assert_eq!(reply.status, status, "{origin:?} {method} {path}");
                assert_eq!(reply.header("upgrade"), None);
            }
        }
    }
    // The app declines, and that is its answer.
    let seen = app.requests();
    let targets: Vec<_> = seen.iter().map(|it| it.target.as_str()).collect();
    assert_eq!(targets, ["/socket", "/pub"]);
    for seen in seen {
        assert_eq!(seen.header("upgrade"), Some("websocket"), "{seen:?}");
        assert_eq!(seen.header("connection"), Some("upgrade"), "{seen:?}");
    }
}

#[tokio::test]
async fn an_app_that_has_not_read_the_key_is_a_bad_gateway() {
    // S-240, S-087
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let app = upstream::raw()
        .answers(switched)
        .then(upstream::Afterwards::Echo)
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let own = front.vestibule.url(HOST, "");
    for (origin, status) in [
        (None, 403),
        (Some(&*own), 502),
        (Some("https://evil.test"), 403),
    ] {
        let asked = handshake("GET", "/socket", origin).with("Cookie", &session);
        let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
        assert_eq!(reply.status, status, "{origin:?}");
    }
}

/// Everything we answer by ourselves with `no-store`, as this browser meets it.
async fn answers_of_ours(house: &House, browser: &mut Browser) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for (path, _) in OWN {
        for method in ["GET", "HEAD", "POST", "PUT"] {
            for viewed in [true, false] {
                // A sign-out would change what the next one meets.
                if method == "POST" && path.contains("logout") {
                    continue;
                }
                let mut request = Request::builder().method(method).uri(house.url(path));
                if viewed {
                    request = page_view(request);
                }
                let answer = browser.send(request.body(Bytes::new()).unwrap()).await;
                answers.push((format!("{method} {path} {viewed}"), answer));
            }
        }
    }
    answers
}

#[tokio::test]
async fn nothing_of_ours_is_kept_for_the_back_button() {
    // S-248: neither a page that names a person nor a redirect that carries a state.
    let house = house().await;
    let mut stranger = house.browser();
    let mut ann = house.browser_of("ann").await;
    let mut all = answers_of_ours(&house, &mut stranger).await;
    all.extend(answers_of_ours(&house, &mut ann).await);
    let mut comer = house.browser();
    all.extend(
        comer
            .follow(&house.url("/page"), 2)
            .await
            .into_iter()
            .filter(|it| it.url.host_str() == Some(crate::support::house::HOST))
            .map(|it| ("a sign-in".to_owned(), it)),
    );
    let out = page_view(Request::get(house.url("/.vestibule/logout")))
        .header("sec-fetch-site", "same-origin");
    let out = ann.send(out.body(Bytes::new()).unwrap()).await;
    assert_eq!(out.status, 303);
    all.push(("a sign-out".to_owned(), out));
    assert!(all.len() > 90, "{}", all.len());
    for (what, answer) in &all {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    }
    // What the app said to a person is kept by nobody else, and is asked for anew without a session.
    assert_eq!(ann.view(&house.url("/page")).await.status, 302);
}

/// The headers without those that are new with every answer.
fn lasting(answer: &Answer) -> Vec<(String, String)> {
    let fields = answer.headers.iter();
    let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
    fields
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn another_site_cannot_tell_whether_somebody_is_in() {
    // S-251: what it embeds comes without the session (`SameSite=Lax`, S-276), what it opens loses its
    // opener, and what it may frame is the same for everybody.
    let house = house().await;
    let mut stranger = house.browser();
    let mut ann = house.browser_of("ann").await;
    for (path, framed) in OWN {
        let url = house.url(path);
        for browser in [&mut stranger, &mut ann] {
            let request = page_view(Request::get(&url)).header("sec-fetch-site", "cross-site");
            let answer = browser.send(request.body(Bytes::new()).unwrap()).await;
            let resource = answer.header("cross-origin-resource-policy");
            if framed {
                assert_eq!(resource, Some("cross-origin"), "{path}");
                continue;
            }
            assert_eq!(resource, Some("same-origin"), "{path}");
            // A redirect shows nothing, and may lie on the way of a window that the app opened.
            let shown = (!answer.status.is_redirection()).then_some("same-origin");
            let opener = answer.header("cross-origin-opener-policy");
            assert_eq!(opener, shown, "{path} {}", answer.status);
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        }
    }
    // The answer that any page may frame says nothing of who asks, or whether anything ended.
    let framed = house.url("/.vestibule/frontchannel-logout?sid=nobodys");
    let (one, other) = (stranger.view(&framed).await, ann.view(&framed).await);
    assert_eq!(
        (one.status, lasting(&one), &one.body),
        (other.status, lasting(&other), &other.body)
    );
    let own = house
        .idp
        .last_id_token()
        .split('.')
        .nth(1)
        .map(|claims| vestibule_claims(claims)["sid"].as_str().unwrap().to_owned());
    let ending = format!(
        "/.vestibule/frontchannel-logout?sid={}",
        own.expect("the provider names its session")
    );
    let ended = ann.view(&house.url(&ending)).await;
    assert_eq!(
        (ended.status, lasting(&ended), &ended.body),
        (one.status, lasting(&one), &one.body)
    );
    assert!(!house.is_in(&mut ann).await, "it did end one");
}

fn vestibule_claims(segment: &str) -> serde_json::Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

#[tokio::test]
async fn a_script_of_the_app_learns_the_name_and_no_secret() {
    // S-252: `me` is readable by design; the session, tokens and what a sign-in carries are not.
    let house = house().await;
    let mut ann = house.browser();
    house
        .sign_in(&mut ann, person("ann").claim("sid", "sid-of-ann"))
        .await;
    let session = ann.cookie(&house.url("/"), SESSION_COOKIE).unwrap();
    let asked = house.idp.token_requests().remove(0);
    let token = house.idp.last_id_token();
    let mut secrets = vec![session, token, "sid-of-ann".to_owned()];
    for name in ["code", "code_verifier"] {
        let value = crate::support::issuer::field(&asked.form, name).unwrap();
        secrets.push(value.to_owned());
    }
    let mut read = 0;
    for (path, _) in OWN {
        for method in [
            "GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "TRACE",
        ] {
            for accept in ["application/json", "text/html", "*/*"] {
                let request = Request::builder()
                    .method(method)
                    .uri(house.url(path))
                    .header("accept", accept)
                    .header("origin", house.url(""))
                    .header("sec-fetch-site", "same-origin")
                    .header("sec-fetch-mode", "cors")
                    .header("sec-fetch-dest", "empty");
                let answer = ann.send(request.body(Bytes::new()).unwrap()).await;
                let shown = answer
                    .headers
                    .iter()
                    .filter(|(name, _)| *name != "set-cookie");
                let shown: Vec<_> = shown.collect();
                let text = format!("{shown:?}\n{}", String::from_utf8_lossy(&answer.body));
                for secret in &secrets {
                    assert!(!text.contains(secret), "{method} {path}: {text}");
                }
                for line in answer.headers.get_all("set-cookie") {
                    assert!(line.to_str().unwrap().contains("; HttpOnly"), "{line:?}");
                }
                read += 1;
            }
        }
    }
    assert_eq!(read, 7 * 7 * 3);
    // A script cannot sign a person out by merely fetching, and it grants no other origin anything.
    assert!(house.is_in(&mut ann).await);
    let me = Request::get(house.url("/.vestibule/me")).header("origin", "https://evil.test");
    let me = ann.send(me.body(Bytes::new()).unwrap()).await;
    assert!(me.json()["user"].is_string());
    let granting = |name: &&http::HeaderName| name.as_str().starts_with("access-control-");
    assert_eq!(me.headers.keys().find(granting), None);
}

#[tokio::test]
async fn a_name_that_leads_here_by_another_zone_opens_nothing() {
    // S-250: with somebody's session, over both protocols, with and without the name in the handshake.
    let app = upstream::echo().run();
    let front = front(|it| {
        it.route(
            "wiki",
            HOST,
            "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"",
            &app,
        )
    });
    front.provider_is_known(HOST).await;
    for protocol in PROTOCOLS {
        for host in [
            "attacker.test",
            "127.0.0.1",
            "localhost",
            "wiki.example.attacker.test",
        ] {
            let authority = front.vestibule.authority(host);
            let asked = ask("GET", "/pub")
                .at(&authority)
                .with("Cookie", &format!("{SESSION_COOKIE}=x"));
            let reply = front.wire(protocol, HOST).ask(&asked).await;
            assert_eq!(reply.status, 421, "{host}");
        }
    }
    app.assert_silent().await;
}
