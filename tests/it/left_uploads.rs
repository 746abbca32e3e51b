//! An upload whose client vanishes in the middle of it: nobody was answered, and the line says so.

use http::{Method, Request};
use serde_json::Value;

use crate::support::{
    client::kept::fed,
    eventually,
    front::{HOST, front},
    lines::Lines,
    pki::Alpn,
    upstream,
};

#[tokio::test]
async fn an_upload_whose_client_vanishes_was_left_and_not_refused() {
    // S-322
    for alpn in [Alpn::Http1, Alpn::H2] {
        let app = upstream::raw().run();
        let lines = Lines::default();
        let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"";
        let front = front(|it| it.route("wiki", HOST, rules, &app).telling(&lines));
        let vestibule = &front.vestibule;
        let raw = vestibule.raw(HOST).offering(alpn, vestibule.pki());
        let mut kept = raw.keep(alpn).await;
        let (feed, body) = fed();
        let url = vestibule.url(HOST, "/pub/upload");
        let request = Request::builder().method(Method::POST).uri(url);
        let request = request.body(body).unwrap();
        let asking = tokio::spawn(async move { kept.ask(request).await.is_ok() });
        assert!(feed.send(b"some of it"));
        let arrived = || {
            let heard = app.heard().concat();
            heard.windows(10).any(|it| it == b"some of it")
        };
        eventually("the app has the first piece", arrived).await;
        asking.abort();
        let line = lines.only("/pub/upload").await;
        for (name, value) in [
            ("decision", Value::from("left")),
            ("reason", Value::from("client_left")),
            ("status", Value::from(499)),
            ("ended", Value::from("client_left")),
        ] {
            assert_eq!(line[name], value, "{alpn:?}: {line}");
        }
        let left = "vestibule_requests_total{route=\"wiki\",decision=\"left\"}";
        assert_eq!(front.metric(left), 1);
        let text = front.vestibule.metrics();
        let refused = |line: &&str| line.starts_with("vestibule_refusals_total{");
        assert!(text.lines().filter(refused).all(|it| it.ends_with(" 0")));
    }
}
