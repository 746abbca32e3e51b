//! The wiki: a few pages to read, a greeting, and two paths that are open to everybody.

use askama::Template;
use bytes::Bytes;
use http::{Method, Request, StatusCode};

use crate::demo::server::{Answer, plain};

use super::{
    AppSettings,
    page::{Look, STYLE_PATH, page, style},
    visitor::Visitor,
};

const LOOK: Look = Look {
    name: "Wiki",
    class: "wiki",
};

struct Article {
    path: &'static str,
    title: &'static str,
    paragraphs: &'static [&'static str],
}

const ARTICLES: &[Article] = &[
    Article {
        path: "/pages/first-day",
        title: "Your first day",
        paragraphs: &[
            "Ask for your badge at the desk on the ground floor; it opens the doors from eight to six.",
            "Coffee is on the second floor. Whoever empties the pot makes the next one.",
        ],
    },
    Article {
        path: "/pages/parking",
        title: "Parking",
        paragraphs: &["The eight places behind the house belong to visitors until noon."],
    },
    Article {
        path: "/pages/printing",
        title: "Printing",
        paragraphs: &[
            "The printer by the window is the fast one, the printer by the door is the colour one.",
            "Paper is in the cupboard below. If it is empty, tell the desk.",
        ],
    },
];

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>{% if let Some(shown) = shown %}Welcome, {{ shown }}{% else %}Welcome{% endif %}</h1>
<p>{% if let Some(user) = user %}This wiki knows you as <code>{{ user }}</code>, because the header <code>{{ header }}</code> says so. It asked for no password and has no sign-in of its own.{% else %}The header <code>{{ header }}</code> did not come, so this wiki does not know who you are.{% endif %}</p>
<h2>Pages</h2>
<ul class="cards">
{% for article in articles %}<li><a href="{{ article.path }}">{{ article.title }}</a></li>
{% endfor %}</ul>
<h2>Open to everybody</h2>
<p><a href="/health">/health</a> and everything below <code>/static/</code> need no sign-in, and there the wiki is told nobody’s name.</p>"#
)]
struct Home<'a> {
    shown: Option<&'a str>,
    user: Option<&'a str>,
    header: &'a str,
    articles: &'a [Article],
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>{{ title }}</h1>
{% for paragraph in paragraphs %}<p>{{ paragraph }}</p>
{% endfor %}<p><a href="/">All pages</a></p>"#
)]
struct Text<'a> {
    title: &'a str,
    paragraphs: &'a [&'a str],
}

/// Answers one request.
pub(super) fn answer(settings: &AppSettings, request: &Request<Bytes>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "This wiki is for reading.");
    }
    let visitor = Visitor::of(settings, request);
    match request.uri().path() {
        "/" => {
            let home = Home {
                shown: visitor.shown(),
                user: visitor.user.as_deref(),
                header: settings.user_header.as_str(),
                articles: ARTICLES,
            };
            page(&LOOK, StatusCode::OK, "Home", &visitor, &home)
        }
        "/health" => plain(StatusCode::OK, "ok\n"),
        STYLE_PATH => style(),
        path => article(path, &visitor),
    }
}

fn article(path: &str, visitor: &Visitor) -> Answer {
    let (status, text) = match ARTICLES.iter().find(|article| article.path == path) {
        Some(article) => (
            StatusCode::OK,
            Text {
                title: article.title,
                paragraphs: article.paragraphs,
            },
        ),
        None => (
            StatusCode::NOT_FOUND,
            Text {
                title: "No such page",
                paragraphs: &["Nobody has written this page."],
            },
        ),
    };
    page(&LOOK, status, text.title, visitor, &text)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::demo::{apps::App, client::Client};

    async fn wiki() -> App {
        let settings = AppSettings {
            name_header: Some(HeaderName::from_static("x-remote-name")),
            ..AppSettings::new(HeaderName::from_static("x-remote-user"))
        };
        App::wiki(settings).await.unwrap()
    }

    #[tokio::test]
    async fn the_wiki_greets_by_the_decoded_name() {
        let wiki = wiki().await;
        let headers = [
            ("x-remote-user", "zoe@contoso.example"),
            ("x-remote-name", "Zo%C3%AB M%C3%BCller"),
        ];
        let mut client = Client::of(wiki.address());
        let home = client.send(Method::GET, "/", &headers, "").await.unwrap();
        assert!(home.body.contains("Welcome, Zoë Müller"), "{}", home.body);
        assert!(home.body.contains("<code>zoe@contoso.example</code>"));
        wiki.stop().await;
    }

    #[tokio::test]
    async fn a_name_cannot_become_markup() {
        let wiki = wiki().await;
        let headers = [("x-remote-name", "%3Cscript%3Ealert(1)%3C/script%3E")];
        let mut client = Client::of(wiki.address());
        let home = client.send(Method::GET, "/", &headers, "").await.unwrap();
        assert!(!home.body.contains("<script"), "{}", home.body);
    }

    #[tokio::test]
    async fn pages_are_there_or_not() {
        let wiki = wiki().await;
        let mut client = Client::of(wiki.address());
        assert_eq!(client.get("/health").await.body, "ok\n");
        assert_eq!(
            client.get(STYLE_PATH).await.header("content-type"),
            "text/css; charset=utf-8"
        );
        for article in ARTICLES {
            let page = client.get(article.path).await;
            assert_eq!(page.status, StatusCode::OK);
        }
        assert_eq!(
            client.get("/pages/none").await.status,
            StatusCode::NOT_FOUND
        );
        let posted = client.post("/", &[]).await;
        assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}
