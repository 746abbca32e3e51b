//! The tenant's pages: small, readable, and clear about what they are.
//!
//! They carry no other organisation's marks, load nothing, and run a script in two places only,
//! each admitted by its digest.

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, header};

use crate::demo::server::{Answer, answer};

use super::{fault::Fault, registration::Person};

/// Sends a form on without a click.
const SUBMIT: &str = "document.forms[0].submit()";
/// Goes on as soon as every frame has loaded, or after five seconds if one does not.
const CONTINUE: &str = "const on=()=>location.replace(document.getElementById('on').href);\
    addEventListener('load',on);setTimeout(on,5000)";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} · Emulated Microsoft Entra ID</title>
<style>{{ style|safe }}</style>
</head>
<body>
<header><p><strong>Emulated Microsoft Entra ID</strong> — demo, no real accounts</p></header>
<main>
{{ content|safe }}
</main>
</body>
</html>
"#
)]
struct Frame<'a> {
    title: &'a str,
    style: &'a str,
    content: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>Sign in</h1>
<p>Choose who you want to be. Nobody here has a password.</p>
<form method="post" action="{{ action }}">
<ul class="people">
{% for person in people %}<li><button name="person" value="{{ person.id }}"{% if person.hinted %} autofocus{% endif %}>
<span class="initials" aria-hidden="true">{{ person.initials }}</span>
<span class="who"><strong>{{ person.name }}</strong>
<span class="address">{{ person.user_name }}</span>
<span class="note">{{ person.note }}{% if person.hinted %} · suggested by the app{% endif %}</span></span>
</button></li>
{% endfor %}</ul>
<button class="quiet" name="cancel" value="cancel">Cancel</button>
</form>"#
)]
struct SignIn<'a> {
    action: &'a str,
    people: Vec<Choice<'a>>,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>Which account do you want to sign out of?</h1>
<form method="post" action="{{ action }}">
<ul class="people">
<li><button name="person" value="{{ person.id }}">
<span class="initials" aria-hidden="true">{{ person.initials }}</span>
<span class="who"><strong>{{ person.name }}</strong>
<span class="address">{{ person.user_name }}</span></span>
</button></li>
</ul>
</form>"#
)]
struct SignOutPicker<'a> {
    action: &'a str,
    person: Choice<'a>,
}

/// A person as a button.
struct Choice<'a> {
    id: &'a str,
    name: &'a str,
    user_name: &'a str,
    initials: String,
    note: String,
    hinted: bool,
}

impl<'a> Choice<'a> {
    fn of(person: &'a Person, hint: Option<&str>) -> Self {
        let kind = if person.guest.is_some() {
            "Guest"
        } else {
            "Member"
        };
        let roles = if person.roles.is_empty() {
            "no app role".to_owned()
        } else {
            person.roles.join(", ")
        };
        let words = person.name.split_whitespace();
        Self {
            id: &person.id,
            name: &person.name,
            user_name: &person.user_name,
            initials: words
                .filter_map(|word| word.chars().next())
                .take(2)
                .collect(),
            note: format!("{kind}, {roles}"),
            hinted: hint.is_some_and(|hint| person.is_hinted_by(hint)),
        }
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>Signing you out</h1>
<p>Every app of this session is being told.</p>
{% for frame in frames %}<iframe title="Sign-out of an app" src="{{ frame }}" hidden></iframe>
{% endfor %}{% if let Some(target) = target %}<p><a id="on" href="{{ target }}">Continue</a></p>
<script>{{ script|safe }}</script>{% else %}<p>You signed out of your account. You can close this window.</p>{% endif %}"#
)]
struct SigningOut<'a> {
    frames: &'a [String],
    target: Option<&'a str>,
    script: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>Back to the app</h1>
<form method="post" action="{{ target }}">
{% for (name, value) in pairs %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}<button>Continue</button>
</form>
<script>{{ script|safe }}</script>"#
)]
struct FormPost<'a> {
    target: &'a str,
    pairs: &'a [(&'a str, &'a str)],
    script: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<h1>{{ heading }}</h1>
<p>{{ text }}</p>{% if let Some(code) = code %}
<p class="code">{{ code }}</p>{% endif %}"#
)]
struct Message<'a> {
    heading: &'a str,
    text: &'a str,
    code: Option<&'a str>,
}

/// The people to choose from; whoever the hint means comes first.
pub(super) fn sign_in(action: &str, people: &[Person], hint: Option<&str>) -> Answer {
    let mut people: Vec<_> = people
        .iter()
        .map(|person| Choice::of(person, hint))
        .collect();
    people.sort_by_key(|person| !person.hinted);
    page(StatusCode::OK, "Sign in", &SignIn { action, people }, None)
}

/// The account to sign out of; Entra ID asks even if there is only one.
pub(super) fn sign_out_picker(action: &str, person: &Person) -> Answer {
    let content = SignOutPicker {
        action,
        person: Choice::of(person, None),
    };
    page(StatusCode::OK, "Sign out", &content, None)
}

/// Loads the clients' front-channel addresses, then goes on to where the sign-out came from.
pub(super) fn signing_out(frames: &[String], target: Option<&str>) -> Answer {
    let content = SigningOut {
        frames,
        target,
        script: CONTINUE,
    };
    page(StatusCode::OK, "Signing out", &content, Some(CONTINUE))
}

/// The end of a sign-out that goes nowhere.
pub(super) fn signed_out() -> Answer {
    let content = Message {
        heading: "You signed out of your account",
        text: "You can close this window.",
        code: None,
    };
    page(StatusCode::OK, "Signed out", &content, None)
}

/// `response_mode=form_post`: the answer travels in a form that sends itself.
pub(super) fn form_post(target: &str, pairs: &[(&str, &str)]) -> Answer {
    let content = FormPost {
        target,
        pairs,
        script: SUBMIT,
    };
    page(StatusCode::OK, "Back to the app", &content, Some(SUBMIT))
}

/// A failure that stays here, as many do at Entra ID.
pub(super) fn fault(fault: &Fault) -> Answer {
    let content = Message {
        heading: "This sign-in cannot go on",
        text: "The real service would leave you here as well. An administrator can look up the number:",
        code: Some(&fault.headline()),
    };
    page(StatusCode::BAD_REQUEST, "Sign-in failed", &content, None)
}

/// There is nothing at this address.
pub(super) fn not_found() -> Answer {
    let content = Message {
        heading: "There is nothing here",
        text: "This is an emulated tenant; open the app you want to use instead.",
        code: None,
    };
    page(StatusCode::NOT_FOUND, "Not found", &content, None)
}

/// 302, as Entra ID redirects.
pub(super) fn redirect(target: &str) -> Answer {
    let mut redirect = answer(StatusCode::FOUND, "text/plain; charset=utf-8", "");
    match HeaderValue::try_from(target) {
        Ok(location) => {
            redirect.headers_mut().insert(header::LOCATION, location);
            redirect
        }
        Err(_) => not_found(),
    }
}

fn page(status: StatusCode, title: &str, content: &impl Template, script: Option<&str>) -> Answer {
    let body = content.render().and_then(|content| {
        let frame = Frame {
            title,
            style: include_str!("style.css"),
            content: &content,
        };
        frame.render()
    });
    // Rendering fails only if writing into a String does.
    let Ok(body) = body else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "");
    };
    let mut answer = answer(status, "text/html; charset=utf-8", body);
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy(script)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    answer
}

/// No `form-action`: it would also govern the redirect to the app behind the sign-in form.
fn policy(script: Option<&str>) -> String {
    let script = script.map_or(String::new(), |script| {
        let digest = BASE64_STANDARD.encode(digest(&SHA256, script.as_bytes()));
        format!("; script-src 'sha256-{digest}'")
    });
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; frame-src http: https:; \
         frame-ancestors 'none'; base-uri 'none'{script}"
    )
}
