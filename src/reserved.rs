//! The names that are ours on every host and on every route: paths, cookies, and the request fields
//! that never pass from a client. One place for each, because what they protect stands elsewhere.

/// Everything below this path is ours, whatever the routes say.
pub const PATHS: &str = "/.vestibule/";

/// Where a provider sends a browser back to.
pub const CALLBACK: &str = "/.vestibule/callback";
/// Where a sign-in starts.
pub const LOGIN: &str = "/.vestibule/login";
/// Where a person signs out.
pub const LOGOUT: &str = "/.vestibule/logout";
/// Where a person sees who they are.
pub const ME: &str = "/.vestibule/me";
/// Where a provider sends a browser after signing it out.
pub const SIGNED_OUT: &str = "/.vestibule/signed-out";

/// What the names of all our cookies begin with, and the whole name of the session's.
///
/// The prefix `__Host-` makes browsers refuse one set by another host, without `Secure`, or for a part
/// of the site (RFC 6265bis 4.1.3.2).
pub const COOKIES: &str = "__Host-vestibule";

/// Request fields that never pass from a client, folded (lower case, all but letters and digits to
/// `_`): of the hop, of the framing, or what apps trust a front for. None of them may be configured
/// as an identity header either.
///
/// `content_length` and `host` are here because both are written anew, and because their other
/// spellings reach some apps as the real thing.
pub const REQUEST_FIELDS: &[&str] = &[
    // The hop between the client and us (RFC 9110 7.6.1), and framing.
    "alt_used",
    "connection",
    "content_length",
    "expect",
    "host",
    "http2_settings",
    "keep_alive",
    "proxy_authenticate",
    "proxy_authorization",
    "proxy_connection",
    "te",
    "trailer",
    "transfer_encoding",
    "upgrade",
    // What apps believe because a front is supposed to have written it.
    "forwarded",
    "proxy",
    "true_client_ip",
    "x_client_ip",
    "x_forwarded",
    "x_http_method",
    "x_http_method_override",
    "x_method_override",
    "x_original_uri",
    "x_original_url",
    "x_real_ip",
    "x_request_id",
    "x_rewrite_uri",
    "x_rewrite_url",
    "x_sendfile",
];

/// Whether a path lies below the reserved one, or is it without its last slash.
#[must_use]
pub fn is_own_path(path: &str) -> bool {
    path.starts_with(PATHS) || path == PATHS.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_reserved_as_they_are_spelled() {
        for ours in ["/.vestibule/", LOGIN, "/.vestibule", "/.vestibule/../x"] {
            assert!(is_own_path(ours), "{ours}");
        }
        for theirs in [
            "/.vestibulex",
            "/x/.vestibule/login",
            "/.Vestibule/login",
            "/",
        ] {
            assert!(!is_own_path(theirs), "{theirs}");
        }
        for endpoint in [CALLBACK, LOGIN, LOGOUT, ME, SIGNED_OUT] {
            assert!(endpoint.starts_with(PATHS), "{endpoint}");
        }
    }
}
