//! `strip_prefix` and `add_prefix`: what of them fits the route.

use super::*;

fn route(from: &str, upstream: &str) -> String {
    format!(
        "from = \"{from}\"\nto = \"http://127.0.0.1:8090\"\nallow = \"signed-in\"\n[upstream]\n{upstream}"
    )
}

#[test]
fn a_prefix_is_taken_away_that_every_path_of_the_route_has() {
    for (from, strip, taken) in [
        ("https://h.example/app", "/app", "/app"),
        ("https://h.example/app/", "/app/", "/app"),
        ("https://h.example/app/v1", "/app", "/app"),
        ("https://h.example/app/v1", "/app/v1", "/app/v1"),
    ] {
        let text = route(
            from,
            &format!("strip_prefix = \"{strip}\"\nadd_prefix = \"/back/\""),
        );
        let config = Base::new(MAIN, &[("app", &text)]).config(&[]);
        assert_eq!(config.routes[0].upstream.strip_prefix, taken);
        assert_eq!(config.routes[0].upstream.add_prefix, "/back");
    }
    let config = Base::new(MAIN, &[("wiki", WIKI)]).config(&[]);
    assert_eq!(config.routes[0].upstream.strip_prefix, "");
    assert_eq!(config.routes[0].upstream.add_prefix, "");
}

#[test]
fn any_other_is_refused() {
    // S-038, S-042
    for (from, lines, said) in [
        (
            "https://h.example",
            "strip_prefix = \"/app\"",
            "upstream.strip_prefix: `from` has no path",
        ),
        (
            "https://h.example/app",
            "strip_prefix = \"/ap\"",
            "upstream.strip_prefix: not every path of the route begins with /ap",
        ),
        (
            "https://h.example/app",
            "strip_prefix = \"/app/v1\"",
            "upstream.strip_prefix: not every path of the route begins with /app/v1",
        ),
        (
            "https://h.example/app",
            "strip_prefix = \"/App\"",
            "upstream.strip_prefix: not every path",
        ),
        (
            "https://h.example/app",
            "strip_prefix = \"/\"",
            "upstream.strip_prefix: \"/\" is no part of a path",
        ),
        (
            "https://h.example/app",
            "add_prefix = \"/a/../b\"",
            "upstream.add_prefix: \"/a/../b\" has a `.` or `..` segment",
        ),
        (
            "https://h.example/app",
            "add_prefix = \"back\"",
            "upstream.add_prefix: \"back\" does not begin with a slash",
        ),
    ] {
        let findings = Base::new(MAIN, &[("app", &route(from, lines))]).findings(&[]);
        assert_eq!(findings.len(), 1, "{lines}: {findings:#?}");
        assert!(findings[0].contains(said), "{lines}: {findings:#?}");
    }
}
