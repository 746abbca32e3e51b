//! `[listen] plain`: what is in order, and what no front could come through.

use super::*;
use crate::config::plain_address::PlainAddress;

fn main_with(lines: &str) -> String {
    MAIN.replace("https = \"0.0.0.0:443\"", lines)
}

fn findings(lines: &str) -> Vec<String> {
    Base::new(&main_with(lines), &[("wiki", WIKI)]).findings(&[])
}

#[test]
fn fronts_alone_need_no_certificate() {
    let main = main_with("plain = \"unix:run/front.sock\"\ntrusted_proxies = [\"127.0.0.1\"]");
    let base = Base::new(&main, &[("wiki", WIKI)]);
    fs::remove_dir_all(base.path().join("certs")).unwrap();
    let loaded = base.load(&[]);
    assert_eq!(loaded.findings, []);
    assert!(!loaded.serves_tls);
    let path = base.path().join("run/front.sock");
    let listen = loaded.config.unwrap().listen;
    assert_eq!(listen.plain, Some(PlainAddress::Unix(path)));
    assert_eq!(listen.https, None);

    let both =
        main_with("https = \"0.0.0.0:443\"\nplain = \"[::1]:8090\"\ntrusted_proxies = [\"::1\"]");
    let base = Base::new(&both, &[("wiki", WIKI)]);
    assert!(base.load(&[]).serves_tls);
    base.config(&[]);
    fs::remove_dir_all(base.path().join("certs")).unwrap();
    assert!(base.load(&[]).config.is_none(), "https needs them");
}

#[test]
fn an_address_that_no_front_could_use_is_said() {
    // S-023
    let long = format!(
        "plain = \"unix:/{}\"\ntrusted_proxies = [\"127.0.0.1\"]",
        "x".repeat(107)
    );
    for (lines, said) in [
        (
            "plain = \"0.0.0.0:8090\"",
            "error: config/vestibule.toml:3:9: listen.plain: it serves only this machine and",
        ),
        (
            "plain = \"192.0.2.1:8090\"",
            "error: config/vestibule.toml:3:9: listen.plain: it serves only this machine and",
        ),
        (
            "plain = \"127.0.0.1:8090\"",
            "warning: config/vestibule.toml:3:9: listen.plain: a front at 127.0.0.1 is not in",
        ),
        (
            "plain = \"unix:/run/front.sock\"\ntrusted_proxies = [\"192.0.2.1\"]",
            "warning: config/vestibule.toml:3:9: listen.plain: a front at 127.0.0.1 is not in",
        ),
        (
            "plain = \"[::1]:8090\"\ntrusted_proxies = [\"127.0.0.1\"]",
            "warning: config/vestibule.toml:3:9: listen.plain: a front at ::1 is not in",
        ),
        (
            &long,
            "error: config/vestibule.toml:3:9: listen.plain: unix:/xxx",
        ),
        (
            "plain = \"localhost:8090\"",
            "error: config/vestibule.toml:3:9: listen.plain: \"localhost:8090\" is not an address",
        ),
        (
            "https = \"0.0.0.0:443\"\nplain = \"127.0.0.1:443\"\ntrusted_proxies = [\"127.0.0.1\"]",
            "error: config/vestibule.toml:4:9: listen.plain: the port is taken by `listen.https`",
        ),
    ] {
        let findings = findings(lines);
        assert_eq!(findings.len(), 1, "{lines}: {findings:#?}");
        assert!(findings[0].starts_with(said), "{lines}: {findings:#?}");
    }
    for lines in [
        "plain = \"192.0.2.1:8090\"\ntrusted_proxies = [\"192.0.2.7\"]",
        "plain = \"127.0.0.1:8090\"\ntrusted_proxies = [\"127.0.0.0/8\"]",
    ] {
        assert_eq!(findings(lines), [""; 0], "{lines}");
    }
}

#[test]
fn it_changes_at_the_next_start() {
    let lines = "plain = \"127.0.0.1:8090\"\ntrusted_proxies = [\"127.0.0.1\"]";
    let before = Base::new(&main_with(lines), &[("wiki", WIKI)]).config(&[]);
    let after = lines.replace("8090", "8091");
    let after = Base::new(&main_with(&after), &[("wiki", WIKI)]).config(&[]);
    let difference = crate::config::difference::Difference::between(&before, &after);
    assert!(difference.at_next_start.contains(&"listen.plain"));
}
