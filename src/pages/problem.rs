//! Refusals for machines: `application/problem+json` (RFC 9457).
//!
//! Says as little as the pages do: a title, a word to branch on, the request's id, and where a
//! person could sign in.

use http::StatusCode;
use serde::Serialize;

use super::render::{PageResponse, written};

/// A refusal that a program reads.
pub struct Problem<'a> {
    /// The status, in the head and in the body.
    pub status: StatusCode,
    /// One short sentence for whoever reads the log of the client.
    pub title: &'a str,
    /// What more there is to say about this one, if anything.
    pub detail: Option<&'a str>,
    /// The word to branch on, such as `sign_in_required`.
    pub reason: &'a str,
    /// The id of the request, as in our log.
    pub request_id: &'a str,
    /// Where a person could sign in: a path of this host.
    pub login: Option<&'a str>,
}

/// The members in the order they are written.
#[derive(Serialize)]
struct Body<'a> {
    /// `about:blank`: there is no page about the problem; `reason` tells problems apart.
    r#type: &'static str,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    reason: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a str>,
}

/// The answer that says so.
#[must_use]
pub fn problem(problem: &Problem<'_>) -> PageResponse {
    let body = Body {
        r#type: "about:blank",
        title: problem.title,
        status: problem.status.as_u16(),
        detail: problem.detail,
        reason: problem.reason,
        request_id: problem.request_id,
        login: problem.login,
    };
    written(problem.status, "application/problem+json", &body)
}

#[cfg(test)]
mod tests {
    use http::header;
    use serde_json::{Value, json};

    use super::*;
    use crate::pages::render::tests::body_of;

    fn refusal(title: &str, login: Option<&str>) -> Value {
        let response = problem(&Problem {
            status: StatusCode::UNAUTHORIZED,
            title,
            detail: None,
            reason: "sign_in_required",
            request_id: "01J",
            login,
        });
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        serde_json::from_str(&body_of(response)).unwrap()
    }

    #[test]
    fn a_problem_has_the_members_of_the_contract() {
        assert_eq!(
            refusal("Not signed in.", Some("/.vestibule/login?return=%2F")),
            json!({
                "type": "about:blank",
                "title": "Not signed in.",
                "status": 401,
                "reason": "sign_in_required",
                "request_id": "01J",
                "login": "/.vestibule/login?return=%2F",
            })
        );
        assert_eq!(refusal("x", None).get("login"), None);
    }

    #[test]
    fn hostile_text_stays_text() {
        // S-083
        let hostile = "\"}\n</script>\u{2028}\u{0}";
        assert_eq!(refusal(hostile, None)["title"], hostile);
    }
}
