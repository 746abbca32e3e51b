//! The look the two apps share, and the way out that vestibule gives them.

use askama::Template;
use http::StatusCode;

use crate::demo::server::{Answer, answer};

use super::visitor::Visitor;

/// Where both apps serve [`style`].
pub(super) const STYLE_PATH: &str = "/static/style.css";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} · {{ app.name }}</title>
<link rel="stylesheet" href="/static/style.css">
</head>
<body class="{{ app.class }}">
<header>
<p class="app"><a href="/">{{ app.name }}</a></p>
<nav aria-label="You">
<ul>{% if let Some(shown) = shown %}
<li class="visitor">{{ shown }}</li>{% endif %}
<li><a href="/.vestibule/me">Who am I</a></li>
<li><a href="/.vestibule/logout">Sign out</a></li>
</ul>
</nav>
</header>
<main>
{{ content|safe }}
</main>
<footer><p>A legacy app of the demo. It knows nothing of sign-in but a header.</p></footer>
</body>
</html>
"#
)]
struct Frame<'a> {
    app: &'a Look,
    title: &'a str,
    shown: Option<&'a str>,
    content: &'a str,
}

/// What tells one app from the other.
pub(super) struct Look {
    pub(super) name: &'static str,
    /// Chooses the colours.
    pub(super) class: &'static str,
}

/// A page of an app.
pub(super) fn page(
    app: &Look,
    status: StatusCode,
    title: &str,
    visitor: &Visitor,
    content: &impl Template,
) -> Answer {
    let body = content.render().and_then(|content| {
        let frame = Frame {
            app,
            title,
            shown: visitor.shown(),
            content: &content,
        };
        frame.render()
    });
    match body {
        Ok(body) => answer(status, "text/html; charset=utf-8", body),
        // Rendering fails only if writing into a String does.
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", ""),
    }
}

/// The style sheet of both.
pub(super) fn style() -> Answer {
    answer(
        StatusCode::OK,
        "text/css; charset=utf-8",
        include_str!("style.css"),
    )
}
