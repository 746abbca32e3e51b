//! What a browser says when somebody opens a page of an app.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, HOST as HOST_FIELD},
};

/// The host of the app.
pub(crate) const HOST: &str = "app.example.com";

/// What a browser sends with every page view, beside `Host` and `Cookie`.
const FIELDS: [(&str, &str); 8] = [
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", "https://app.example.com/start/page?id=1234"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
];

/// Cookies that the app, its framework and its statistics have set, before ours and behind it.
const BEFORE_OURS: &str = "JSESSIONID=0123456789ABCDEF0123456789ABCDEF; theme=dark; \
    _ga=GA1.1.1234567890.1700000000; lang=en-US; csrftoken=q7Xv2mKp9RtLwZs4BnHd6YfGj1CuAe3o";
const BEHIND_OURS: &str = "_ga_1A2B3C4D5E=GS1.1.1700000000.7.1.1700000321.0.0.0; columns=7%2C3%2C1; \
    last=orders; consent=2025-11-01T09%3A30%3A00Z; _pk_id.1.1fff=8d5e957f297893487bd98fa830fa6413";

/// The value of a `Cookie` field: ten cookies of the app's, and among them that of a session.
pub(crate) fn cookies(session: Option<&str>) -> String {
    match session {
        Some(session) => format!("{BEFORE_OURS}; __Host-vestibule={session}; {BEHIND_OURS}"),
        None => format!("{BEFORE_OURS}; {BEHIND_OURS}"),
    }
}

/// The fields of a page view as hyper hands them over, with room for as many as came.
pub(crate) fn fields(cookies: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(FIELDS.len() + 2);
    headers.append(HOST_FIELD, HeaderValue::from_static(HOST));
    for (name, value) in FIELDS {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name");
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.append(
        COOKIE,
        HeaderValue::from_str(cookies).expect("they are visible ASCII"),
    );
    headers
}

/// The bytes of a page view over HTTP/1.1.
pub(crate) fn page_view(target: &str, cookies: &str) -> Vec<u8> {
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n");
    for (name, value) in FIELDS {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.extend(["Cookie: ", cookies, "\r\n\r\n"]);
    text.into_bytes()
}

/// The bytes of a request that a page's script sends over HTTP/1.1.
pub(crate) fn call(target: &str, cookies: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n\
         Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookies}\r\n\r\n"
    )
    .into_bytes()
}
