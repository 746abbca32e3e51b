//! Whether a request is a person's page view, an attempt of a page's script, or a machine.
//!
//! Only page views are redirected: a script would follow the redirect to the provider, fail there,
//! and tell nobody why.

use http::{HeaderMap, HeaderValue, Method};
use memchr::{memchr, memmem};

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waiting {
    /// Anything that is not a person looking at a page.
    Machine,
    /// A person whose browser navigates with something else than GET: a form.
    Navigation,
    /// A person whose browser opens a page with GET or HEAD.
    PageView,
}

impl Waiting {
    /// Judges by what browsers cannot be made to say for another kind of request.
    ///
    /// Looks at each field once: every request is judged so, in case it fails.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let mut accepts_pages = false;
        for (name, value) in headers {
            match name.as_str() {
                "accept" => accepts_pages |= holds_pages(value),
                "sec-fetch-mode" if value != "navigate" => return Self::Machine,
                "x-requested-with" | "upgrade" => return Self::Machine,
                "purpose" | "sec-purpose" | "x-purpose" | "x-moz" if is_of_prefetch(value) => {
                    return Self::Machine;
                }
                "content-type" if is_of_grpc(value) => return Self::Machine,
                _ => {}
            }
        }
        match *method {
            _ if !accepts_pages => Self::Machine,
            Method::GET | Method::HEAD => Self::PageView,
            _ => Self::Navigation,
        }
    }

    /// Whether a page is the right form for an answer of ours.
    pub(super) fn wants_page(self) -> bool {
        self != Self::Machine
    }
}

/// Whether pages are among what `Accept` names.
fn holds_pages(accept: &HeaderValue) -> bool {
    let mut ranges = accept.as_bytes().split(|byte| *byte == b',');
    ranges.any(|range| {
        let end = memchr(b';', range).unwrap_or(range.len());
        range[..end].trim_ascii().eq_ignore_ascii_case(b"text/html")
    })
}

fn is_of_prefetch(purpose: &HeaderValue) -> bool {
    memmem::find(purpose.as_bytes(), b"pref").is_some()
}

fn is_of_grpc(content_type: &HeaderValue) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let start = content_type.as_bytes().get(..GRPC.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn waiting(method: &Method, fields: &[(&'static str, &'static str)]) -> Waiting {
        let headers = fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        Waiting::of(method, &headers)
    }

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn a_browser_that_opens_a_page_is_a_page_view() {
        assert_eq!(waiting(&Method::GET, &[PAGE]), Waiting::PageView);
        assert_eq!(
            waiting(&Method::GET, &[PAGE, ("sec-fetch-mode", "navigate")]),
            Waiting::PageView
        );
        assert_eq!(waiting(&Method::HEAD, &[PAGE]), Waiting::PageView);
        assert_eq!(waiting(&Method::POST, &[PAGE]), Waiting::Navigation);
    }

    #[test]
    fn scripts_prefetches_upgrades_and_machines_are_not() {
        for fields in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[("accept", "text/htmlx")],
            &[PAGE, ("sec-fetch-mode", "cors")],
            &[PAGE, ("sec-fetch-mode", "websocket")],
            &[PAGE, ("x-requested-with", "XMLHttpRequest")],
            &[PAGE, ("upgrade", "websocket")],
            &[PAGE, ("purpose", "prefetch")],
            &[PAGE, ("sec-purpose", "prefetch;prerender")],
            &[PAGE, ("content-type", "application/grpc+proto")],
        ] {
            assert_eq!(
                waiting(&Method::GET, fields),
                Waiting::Machine,
                "{fields:?}"
            );
        }
    }
}
