//! The answer's fields on their way to the client: what an app may not say in our name.
//!
//! The hop's fields, the route's identity headers, our cookies, and what speaks for the whole host
//! (`Alt-Svc`, `NEL`, `Report-To`, key pins, `Server`, `Via`, HSTS) are removed (S-232): a browser
//! would tell an app's collector the addresses of sign-ins and of other apps. An answer that a session decided is kept
//! out of shared caches (S-247, RFC 9111 3.5): nothing here makes one more cacheable than it was. Trailers
//! lose the same fields, and those that no trailers may have (RFC 9110 6.5.1).

use std::sync::LazyLock;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY, TRAILER, VARY},
};

use super::{
    answer_addresses, cookie_attributes, cookies,
    headers::{connection_tokens, remove_where},
    removal::FoldedNames,
    target::RouteTarget,
};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// The hop between the app and us (RFC 9110 7.6.1), and what is ours to say.
const NEVER_FROM_AN_APP: &[&str] = &[
    "alt_svc",
    "connection",
    "expect_ct",
    "http2_settings",
    "keep_alive",
    "nel",
    "proxy_authenticate",
    "proxy_authorization",
    "proxy_connection",
    "public_key_pins",
    "public_key_pins_report_only",
    "report_to",
    "server",
    "strict_transport_security",
    "te",
    "trailer",
    "transfer_encoding",
    "upgrade",
    "via",
];

/// What an app for a part of a host may not say either: it would put its script before the others.
const NEVER_FROM_A_PART: &[&str] = &["service_worker_allowed"];

/// What must be known before a body begins, so that it may not stand behind it (RFC 9110 6.5.1): framing,
/// routing, authentication, cookies, what caches and browsers go by, and how the content is to be read.
const NEVER_IN_TRAILERS: &[&str] = &[
    "accept_ranges",
    "age",
    "authentication_info",
    "authorization",
    "cache_control",
    "clear_site_data",
    "content_disposition",
    "content_encoding",
    "content_language",
    "content_length",
    "content_location",
    "content_range",
    "content_security_policy",
    "content_security_policy_report_only",
    "content_type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "location",
    "max_forwards",
    "pragma",
    "range",
    "refresh",
    "retry_after",
    "set_cookie",
    "status",
    "vary",
    "warning",
    "www_authenticate",
];

static OF_HEADS_ALONE: LazyLock<FoldedNames> =
    LazyLock::new(|| FoldedNames::new(NEVER_IN_TRAILERS.iter().map(|name| name.as_bytes())));

/// Fields that some shared caches obey before `Cache-Control` (RFC 9213 and its forerunners).
const CACHE_CONTROLS_OF_CACHES: [HeaderName; 4] = [
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("cloudflare-cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("x-accel-expires"),
];

/// The names that are removed from every answer of one route.
#[derive(Clone, Debug)]
pub(super) struct AnswerRemoval {
    fixed: FoldedNames,
    identity: FoldedNames,
}

impl AnswerRemoval {
    /// For a route with these identity headers, to the whole of a host or a part of it.
    pub(super) fn new(identity: FoldedNames, is_part: bool) -> Self {
        let of_a_part = if is_part { NEVER_FROM_A_PART } else { &[] };
        let names = NEVER_FROM_AN_APP.iter().chain(of_a_part);
        let fixed = FoldedNames::new(names.map(|name| name.as_bytes()));
        Self { fixed, identity }
    }

    fn removes(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.fixed.contains(name) || self.identity.contains(name)
    }

    /// Whether a field of this name may stand behind the body of an answer.
    fn allows_behind(&self, name: &HeaderName) -> bool {
        let is_of_caches = CACHE_CONTROLS_OF_CACHES.contains(name);
        !(self.removes(name) || is_of_caches || OF_HEADS_ALONE.contains(name.as_str().as_bytes()))
    }

    /// Removes what an app may not say behind the body of its answer.
    pub(super) fn cut_from_trailers(&self, trailers: &mut HeaderMap) {
        remove_where(trailers, |name| !self.allows_behind(name));
    }
}

/// Which trailers an answer announces, of those that pass; to be said anew once the answer's fields are
/// those for the client.
pub(super) fn announced_trailers(
    headers: &HeaderMap,
    removal: &AnswerRemoval,
) -> Option<HeaderValue> {
    let lines = headers.get_all(TRAILER).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    let mut passing: Vec<_> = names.filter(|name| removal.allows_behind(name)).collect();
    passing.dedup();
    if passing.is_empty() {
        return None;
    }
    let passing: Vec<_> = passing.iter().map(HeaderName::as_str).collect();
    HeaderValue::try_from(passing.join(", ")).ok()
}

/// What the answer's fields depend on, beside the route.
#[derive(Clone, Copy, Debug)]
pub struct AnswerFacts<'a> {
    /// Whether the request was let in because of who sent it.
    pub session_decided: bool,
    /// Our `Strict-Transport-Security`; `None` sends none.
    pub hsts: Option<&'a HeaderValue>,
}

/// Rewrites the fields of an answer for the client.
pub fn for_client(headers: &mut HeaderMap, target: &RouteTarget, facts: AnswerFacts<'_>) {
    // What is no field name in the app's `Connection` names no field.
    let nominated: Vec<_> = connection_tokens(headers)
        .filter(|token| !token.eq_ignore_ascii_case(b"close"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    remove_where(headers, |name| target.answer_removal.removes(name));
    cookies::cut_from_answer(headers);
    cookie_attributes::rewrite(headers, &target.addresses);
    answer_addresses::rewrite(headers, &target.addresses);
    keep_site_data(headers);
    if facts.session_decided {
        keep_out_of_shared_caches(headers);
        keep_apart_in_the_browser(headers);
    }
    if let Some(hsts) = facts.hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// Takes `"cookies"` and `"*"` out of `Clear-Site-Data`: they would sign the person out of
/// vestibule, on every app of the host.
fn keep_site_data(headers: &mut HeaderMap) {
    if !headers.contains_key(CLEAR_SITE_DATA) {
        return;
    }
    let clears_cookies = |directive: &[u8]| {
        directive.contains(&b'*')
            || directive
                .windows(b"cookies".len())
                .any(|part| part.eq_ignore_ascii_case(b"cookies"))
    };
    let lines = headers.get_all(CLEAR_SITE_DATA).iter();
    let directives = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let kept: Vec<_> = directives
        .map(<[u8]>::trim_ascii)
        .filter(|directive| !directive.is_empty() && !clears_cookies(directive))
        .collect();
    replace(headers, &CLEAR_SITE_DATA, &kept.join(b", ".as_slice()));
}

/// Drops `public` and `s-maxage`, and adds `private` unless that or `no-store` is there.
///
/// `private="field"` speaks of that field alone, so it does not count.
fn keep_out_of_shared_caches(headers: &mut HeaderMap) {
    for name in CACHE_CONTROLS_OF_CACHES {
        headers.remove(name);
    }
    let mut is_private = false;
    let mut drops_any = false;
    let mut kept: Vec<&[u8]> = Vec::new();
    for line in headers.get_all(CACHE_CONTROL) {
        for directive in directives(line.as_bytes()) {
            let mut parts = directive.splitn(2, |byte| *byte == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let is_bare = parts.next().is_none();
            if name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage") {
                drops_any = true;
                continue;
            }
            is_private |= is_bare
                && (name.eq_ignore_ascii_case(b"private")
                    || name.eq_ignore_ascii_case(b"no-store"));
            kept.push(directive);
        }
    }
    if is_private && !drops_any {
        return;
    }
    if kept.is_empty() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    }
    if !is_private {
        kept.push(b"private");
    }
    let joined = kept.join(b", ".as_slice());
    replace(headers, &CACHE_CONTROL, &joined);
}

/// Says that the answer depends on the cookies: what a browser keeps for one person must not be shown
/// to the next who signs in there (RFC 9110 12.5.5).
fn keep_apart_in_the_browser(headers: &mut HeaderMap) {
    let says_so = |line: &HeaderValue| {
        let mut names = line.as_bytes().split(|byte| *byte == b',');
        names.any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"cookie")
        })
    };
    if !headers.get_all(VARY).iter().any(says_so) {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
}

/// Splits at commas outside of quotes, without blanks around and without empty pieces.
///
/// A quote that never ends is no quote: what is behind it is read as directives of its own, so that
/// no `public` can hide there.
fn directives(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    let mut quotes_end = true;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = end_of_directive(rest, &mut quotes_end);
        let directive = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(directive.trim_ascii())
    })
    .filter(|directive| !directive.is_empty())
}

fn end_of_directive(text: &[u8], quotes_end: &mut bool) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b',' => return at,
            b'"' if *quotes_end => {
                let quoted = length_of_quoted(&text[at..]);
                *quotes_end = quoted.is_some();
                at += quoted.unwrap_or(1);
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of the quoted string a text begins with, quotes included; `None` if it never ends.
fn length_of_quoted(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, joined: &[u8]) {
    match HeaderValue::from_bytes(joined) {
        Ok(value) if !joined.is_empty() => {
            headers.insert(name, value);
        }
        _ => {
            headers.remove(name);
        }
    }
}
