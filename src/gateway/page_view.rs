//! Whether a request is a person's page view, an attempt of a page's script, or a machine.
//!
//! Only page views are redirected: a script would follow the redirect to the provider, fail there,
//! and tell nobody why.

use http::{HeaderMap, Method, header};

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
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let accepts_pages = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|range| {
                let kind = range.split(';').next().unwrap_or_default().trim();
                kind.eq_ignore_ascii_case("text/html")
            });
        // Asked only of those who accept pages: most requests do not.
        let navigates = || text_of("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
        let prefetches = || {
            ["purpose", "sec-purpose", "x-purpose", "x-moz"]
                .into_iter()
                .any(|name| text_of(name).is_some_and(|value| value.contains("pref")))
        };
        let speaks_grpc = || {
            text_of("content-type").is_some_and(|kind| {
                kind.get(..16)
                    .is_some_and(|start| start.eq_ignore_ascii_case("application/grpc"))
            })
        };
        let scripted = || {
            headers.contains_key("x-requested-with")
                || headers.contains_key(header::UPGRADE)
                || prefetches()
                || speaks_grpc()
        };
        if !accepts_pages || !navigates() || scripted() {
            Self::Machine
        } else if matches!(*method, Method::GET | Method::HEAD) {
            Self::PageView
        } else {
            Self::Navigation
        }
    }

    /// Whether a page is the right form for an answer of ours.
    pub(super) fn wants_page(self) -> bool {
        self != Self::Machine
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

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
