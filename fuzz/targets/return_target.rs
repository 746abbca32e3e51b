//! Where a person is sent after signing in: on our own origin, whatever was asked for (S-072, S-073).
//!
//! Judged by the URL parser that browsers follow (WHATWG URL).

use url::Url;
use vestibule::{
    login::return_to::{ReturnTo, login_path, single_parameter},
    reserved,
};

/// Takes `input` for a return path.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let return_to = ReturnTo::new(&text);
    let path = return_to.as_str();
    assert!(
        path == "/" || path == text,
        "S-072: neither the root nor what was given"
    );
    for authority in ["app.test", "app.test:8443", "[::1]:8443"] {
        let origin = parsed(&format!("https://{authority}/a/page?x#y"));
        let absolute = parsed(&return_to.on(authority));
        let relative = origin.join(path);
        let relative = relative.unwrap_or_else(|error| panic!("S-072: {path}: {error}"));
        for url in [&absolute, &relative] {
            assert_eq!(url.origin(), origin.origin(), "S-072: another origin");
            let has_user = !url.username().is_empty() || url.password().is_some();
            assert!(!has_user, "S-072: userinfo");
            let is_reserved = url.path().starts_with(reserved::PATHS);
            assert!(
                !is_reserved || url.path() == reserved::ME,
                "S-073: a page of ours"
            );
        }
        assert_eq!(absolute, relative, "S-072: two readings");
    }
    assert_eq!(
        ReturnTo::new(path),
        return_to,
        "it does not come back as it went"
    );
    let login = login_path(&return_to);
    let query = login.split_once('?').map(|(_, query)| query);
    let back = single_parameter(query, "return");
    assert_eq!(
        back.as_deref(),
        Some(path),
        "it does not come back as it went"
    );
    // What is decoded first is judged no more mildly.
    let decoded = single_parameter(Some(&text), "return").unwrap_or_default();
    let url = parsed(&ReturnTo::new(&decoded).on("app.test"));
    assert_eq!(url.host_str(), Some("app.test"), "S-072: another host");
}

fn parsed(text: &str) -> Url {
    text.parse()
        .unwrap_or_else(|error| panic!("S-072: {text}: {error}"))
}
