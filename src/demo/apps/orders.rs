//! The order entry: shows every header that came, and sends back what is posted to it.

use askama::Template;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};

use crate::demo::server::{Answer, plain};

use super::{
    AppSettings,
    page::{Look, STYLE_PATH, page, style},
    visitor::Visitor,
};

const LOOK: Look = Look {
    name: "Orders",
    class: "orders",
};

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>{% if let Some(shown) = shown %}Orders of {{ shown }}{% else %}Orders of nobody{% endif %}</h1>
<p>{% if user_known %}The header <code>{{ header }}</code> says who you are.{% else %}The header <code>{{ header }}</code> did not come, so this app does not know who you are.{% endif %}</p>
<h2>New order</h2>
<form method="post" action="/echo">
<label for="note">What do you need?</label>
<input id="note" name="note" autocomplete="off" value="Twelve chairs">
<button>Send</button>
</form>
<h2>Every header this app got</h2>
<table>
<thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead>
<tbody>
{% for (name, value) in headers %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</tbody>
</table>"#
)]
struct Home<'a> {
    shown: Option<&'a str>,
    user_known: bool,
    header: &'a str,
    headers: Vec<(&'a str, String)>,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>The order arrived</h1>
<p>This is what the app received, byte for byte, as {{ content_type }}:</p>
<pre>{{ body }}</pre>
<p><a href="/">Back to the orders</a></p>"#
)]
struct Echo<'a> {
    content_type: String,
    body: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>There is nothing here</h1>
<p><a href="/">Back to the orders</a></p>"#
)]
struct Nothing;

/// Answers one request.
pub(super) fn answer(settings: &AppSettings, request: &Request<Bytes>) -> Answer {
    let visitor = Visitor::of(settings, request);
    match (request.uri().path(), request.method()) {
        ("/", &Method::GET | &Method::HEAD) => home(settings, request, &visitor),
        ("/echo", &Method::POST) => echo(request, &visitor),
        (STYLE_PATH, &Method::GET | &Method::HEAD) => style(),
        ("/" | "/echo" | STYLE_PATH, _) => plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "This app does not do that here.",
        ),
        _ => page(
            &LOOK,
            StatusCode::NOT_FOUND,
            "Not found",
            &visitor,
            &Nothing,
        ),
    }
}

fn home(settings: &AppSettings, request: &Request<Bytes>, visitor: &Visitor) -> Answer {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str(), value)
        })
        .collect();
    let home = Home {
        shown: visitor.shown(),
        user_known: visitor.user.is_some(),
        header: settings.user_header.as_str(),
        headers,
    };
    page(&LOOK, StatusCode::OK, "Home", visitor, &home)
}

fn echo(request: &Request<Bytes>, visitor: &Visitor) -> Answer {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or_else(
        || "nothing in particular".into(),
        |value| String::from_utf8_lossy(value.as_bytes()),
    );
    let echo = Echo {
        content_type: content_type.into_owned(),
        body: &String::from_utf8_lossy(request.body()),
    };
    page(&LOOK, StatusCode::OK, "Order", visitor, &echo)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::demo::{apps::App, client::Client};

    async fn orders() -> App {
        let settings = AppSettings::new(HeaderName::from_static("x-forwarded-user"));
        App::orders(settings).await.unwrap()
    }

    #[tokio::test]
    async fn every_header_is_shown_escaped() {
        let orders = orders().await;
        let headers = [
            ("x-forwarded-user", "ann@contoso.example"),
            ("x-twice", "one"),
            ("x-twice", "<b>two</b>"),
        ];
        let mut client = Client::of(orders.address());
        let home = client.send(Method::GET, "/", &headers, "").await.unwrap();
        assert!(home.body.contains("Orders of ann@contoso.example"));
        assert_eq!(home.body.matches("x-twice").count(), 2, "{}", home.body);
        assert!(!home.body.contains("<b>"));
        orders.stop().await;
    }

    #[tokio::test]
    async fn what_is_posted_comes_back() {
        let orders = orders().await;
        let mut client = Client::of(orders.address());
        let echo = client.post("/echo", &[("note", "<b>&")]).await;
        assert!(
            echo.body.contains("<pre>note=%3Cb%3E%26</pre>"),
            "{}",
            echo.body
        );
        let oversized = "x".repeat(64 * 1024 + 1);
        let refused = client.send(Method::POST, "/echo", &[], &oversized).await;
        assert_eq!(refused.unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
