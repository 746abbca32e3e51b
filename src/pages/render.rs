//! The one way out: templates filled and escaped, security headers on everything that is ours.
//!
//! Every answer of this module is built by [`answer`], which no caller can leave without
//! `nosniff`, `no-store` and a policy under which nothing runs and nobody frames us (CSP Level 3;
//! S-182). Nothing here looks at a request.

use askama::Template;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::{clock::Timestamp, config::route::Help};

use super::{
    assets::{MARK, STYLE},
    catalogue::{Labels, Language},
    notice::Notice,
    problem::{Problem, problem},
    shown::{Shown, ShownTime},
    view::{Action, Value, View, view},
};

/// A whole answer of ours.
pub type PageResponse = Response<Full<Bytes>>;

/// What every page says besides its notice.
pub struct PageContext<'a> {
    /// The id of the request, as in our log.
    pub request_id: &'a str,
    /// The title of the route; absent where no route was found.
    pub app: Option<&'a str>,
    /// Whom to ask.
    pub help: Option<&'a Help>,
    /// The time of the request.
    pub time: Timestamp,
    /// The words to use.
    pub language: Language,
}

#[derive(Template)]
#[template(path = "page.html", config = "src/pages/templates/askama.toml")]
struct Page<'a> {
    language: &'static str,
    labels: &'static Labels,
    style: &'static str,
    mark: &'static str,
    /// The app's title, or what stands for it where there is no app.
    app: Shown<'a>,
    view: View<'a>,
    /// The operator's own words, as written.
    help_text: Option<&'a str>,
    contact: Option<Shown<'a>>,
    request_id: Shown<'a>,
    time: ShownTime,
}

/// The page about `notice`.
#[must_use]
pub fn respond(notice: &Notice<'_>, context: &PageContext<'_>) -> PageResponse {
    let texts = context.language.texts();
    let page = Page {
        language: context.language.tag(),
        labels: &texts.labels,
        style: &STYLE.path,
        mark: &MARK.path,
        app: Shown(context.app.unwrap_or(texts.labels.entrance)),
        view: view(notice, texts, context.time),
        help_text: context.help.and_then(|help| help.text.as_deref()),
        contact: context
            .help
            .and_then(|help| help.contact.as_deref())
            .map(Shown),
        request_id: Shown(context.request_id),
        time: ShownTime(context.time),
    };
    // Writing to memory does not fail; if it ever did, the status alone still says the right thing.
    let Ok(html) = page.render() else {
        return empty(notice.status());
    };
    let content_type = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = answer(notice.status(), Some(content_type), Bytes::from(html));
    add_headers_of(notice, response.headers_mut());
    response
}

/// What is told about `notice` to whoever asked: a page to a person, a problem with the word `reason`
/// to a program. Status and headers are the same in both.
#[must_use]
pub fn tell(
    notice: &Notice<'_>,
    wants_page: bool,
    reason: &str,
    context: &PageContext<'_>,
) -> PageResponse {
    tell_as(notice.status(), notice, wants_page, (reason, None), context)
}

/// The same with another status than the notice's own, which is the nearest one there is, and with
/// what more there is to say to a program.
#[must_use]
pub fn tell_as(
    status: StatusCode,
    notice: &Notice<'_>,
    wants_page: bool,
    (reason, detail): (&str, Option<&str>),
    context: &PageContext<'_>,
) -> PageResponse {
    if wants_page {
        let mut response = respond(notice, context);
        *response.status_mut() = status;
        return response;
    }
    let mut response = problem(&Problem {
        status,
        title: status.canonical_reason().unwrap_or("Refused"),
        detail,
        reason,
        request_id: context.request_id,
        login: notice.login(),
    });
    add_headers_of_status(notice, response.headers_mut());
    response
}

/// Any value as `application/json`; 500 without a body if it cannot be written.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> PageResponse {
    written(status, "application/json", value)
}

/// A redirect to a location that the caller has judged; 500 if it is no URI reference.
#[must_use]
pub fn redirect(status: StatusCode, location: &str) -> PageResponse {
    // A URI reference is visible ASCII (RFC 3986 2); a header value could hold more than that.
    let is_uri = location.bytes().all(|byte| byte.is_ascii_graphic());
    let (true, Ok(location)) = (is_uri, HeaderValue::from_str(location)) else {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = empty(status);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// A status and nothing else.
#[must_use]
pub fn empty(status: StatusCode) -> PageResponse {
    answer(status, None, Bytes::new())
}

/// A JSON text of this type; 500 without a body if `value` cannot be written.
pub(super) fn written(
    status: StatusCode,
    content_type: &'static str,
    value: &impl Serialize,
) -> PageResponse {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let content_type = HeaderValue::from_static(content_type);
            answer(status, Some(content_type), Bytes::from(body))
        }
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The only maker of a [`PageResponse`].
pub(super) fn answer(
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
) -> PageResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, INERT_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// For what is no page: nothing loads, runs, frames or is framed.
const INERT_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// For a page: our own style and mark besides; where a form may go is said by [`form_action`].
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
                           base-uri 'none'; frame-ancestors 'none'; form-action";

/// In how many seconds an app that is busy is worth another try.
const RETRY_CROWDED: u16 = 5;

fn add_headers_of(notice: &Notice<'_>, headers: &mut HeaderMap) {
    let policy = format!("{PAGE_POLICY} {}", form_action(notice));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // Whoever opened a window must not learn from it what page came (S-251). Not on redirects: a
    // window that an app opened itself may have to sign in on its way, and keeps its opener.
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    add_headers_of_status(notice, headers);
}

/// What the status of a notice asks for, in whatever form it is told.
fn add_headers_of_status(notice: &Notice<'_>, headers: &mut HeaderMap) {
    match notice {
        Notice::MethodNotAllowed { allow } => {
            if let Ok(allow) = HeaderValue::from_str(allow) {
                headers.insert(header::ALLOW, allow);
            }
        }
        Notice::ProviderDown { retry_after, .. } => {
            let seconds = retry_after.as_secs().max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Notice::UpstreamCrowded => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_CROWDED));
        }
        _ => {}
    }
}

/// Where the page's form may go, redirects included; most pages have none.
///
/// A provider may send the browser on to the host that really holds the account (federation), and
/// no list could name those: behind one that speaks HTTPS any host that does is allowed. The form
/// itself still goes to us alone: nothing on the page can change its action.
fn form_action(notice: &Notice<'_>) -> String {
    match notice {
        Notice::SignOut {
            provider_origin: Some(origin),
            ..
        } if is_source(origin) && origin.starts_with("https:") => "'self' https:".to_owned(),
        Notice::SignOut {
            provider_origin: Some(origin),
            ..
        } if is_source(origin) => format!("'self' {origin}"),
        Notice::SignOut { .. } => "'self'".to_owned(),
        _ => "'none'".to_owned(),
    }
}

/// Whether this is scheme and authority and no more: a blank, `;`, `,` or `*` would widen the policy.
fn is_source(origin: &str) -> bool {
    origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))
        .is_some_and(|authority| {
            !authority.is_empty()
                && authority
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        })
}

#[cfg(test)]
pub(super) mod tests;
