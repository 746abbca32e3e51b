//! `[limits]`, `[listen] trusted_proxies` and `proxy_protocol`: what is taken, and what is said about
//! the rest.

use std::time::Duration;

use super::{
    super::listener::{Limits, TrustedProxies},
    Base, MAIN, WIKI, findings_of_main,
};

const FILE: &str = "error: config/vestibule.toml:";

fn base(main: &str) -> Base {
    Base::new(main, &[("wiki", WIKI)])
}

/// The main file with lines of `[limits]`, the first of which is its ninth.
fn with_limits(lines: &str) -> String {
    format!("{MAIN}[limits]\n{lines}\n")
}

/// The main file with more lines of `[listen]`, the first of which is its fourth.
fn with_listen(lines: &str) -> String {
    let https = "https = \"0.0.0.0:443\"";
    assert!(MAIN.contains(https));
    MAIN.replacen(https, &format!("{https}\n{lines}"), 1)
}

#[test]
fn without_a_word_the_limits_are_the_defaults() {
    let config = base(MAIN).config(&[]);
    assert_eq!(config.limits, Limits::default());
    let written = with_limits(
        "head_bytes = \"32KiB\"\nheaders = 100\ntarget_bytes = \"8KiB\"\nhead_timeout = \"10s\"\n\
         tls_timeout = \"10s\"\nidle = \"75s\"\nbody_idle = \"60s\"\nstreams = 100\n\
         connections = 10000\nconnections_per_address = \"off\"\nbody_bytes = \"off\"\n\
         public_body_bytes = \"1MiB\"",
    );
    assert_eq!(base(&written).config(&[]).limits, Limits::default());
    // S-023: nobody is trusted by default.
    assert_eq!(config.listen.trusted_proxies, TrustedProxies::default());
    assert!(!config.listen.proxy_protocol);
}

#[test]
fn every_limit_can_be_written() {
    let written = with_limits(
        "head_bytes = \"8KiB\"\nheaders = 8\ntarget_bytes = \"4KB\"\nhead_timeout = \"1s\"\n\
         tls_timeout = \"1h\"\nidle = \"2m\"\nbody_idle = \"1500ms\"\nstreams = 1000\n\
         connections = 1\nconnections_per_address = 3\nbody_bytes = \"2GB\"\n\
         public_body_bytes = \"off\"",
    );
    let expected = Limits {
        head_bytes: 8192,
        headers: 8,
        target_bytes: 4000,
        head_timeout: Duration::from_secs(1),
        tls_timeout: Duration::from_hours(1),
        idle: Duration::from_mins(2),
        body_idle: Duration::from_millis(1500),
        streams: 1000,
        connections: 1,
        connections_per_address: Some(3),
        body_bytes: Some(2_000_000_000),
        public_body_bytes: None,
    };
    assert_eq!(base(&written).config(&[]).limits, expected);
    let by_variables = base(MAIN).config(&[
        ("VESTIBULE_LIMITS__HEAD_BYTES", "64KiB"),
        ("VESTIBULE_LIMITS__CONNECTIONS_PER_ADDRESS", "20"),
        ("VESTIBULE_LIMITS__STREAMS", "7"),
        ("VESTIBULE_LIMITS__PUBLIC_BODY_BYTES", "off"),
    ]);
    assert_eq!(by_variables.limits.head_bytes, 65536);
    assert_eq!(by_variables.limits.connections_per_address, Some(20));
    assert_eq!(by_variables.limits.streams, 7);
    assert_eq!(by_variables.limits.public_body_bytes, None);
    let off = ("VESTIBULE_LIMITS__CONNECTIONS_PER_ADDRESS", "off");
    assert_eq!(
        base(&written).config(&[off]).limits.connections_per_address,
        None
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_limit_outside_of_its_bounds_is_said_with_its_place_and_what_is_allowed() {
    // S-317: 9 is the line of the key in the file.
    let size =
        "is not a size (write a size from 8KiB to 256KiB: \"16KiB\", \"32KiB\" or \"64KiB\")";
    let head = "9:14: limits.head_bytes: the size is out of range (write a size from 8KiB to 256KiB: \"16KiB\", \"32KiB\" or \"64KiB\")";
    let target = "9:16: limits.target_bytes: the size is out of range (write a size from 256B to 63KiB: \"4KiB\", \"8KiB\" or \"16KiB\")";
    let body = "the size is out of range (write a size from \"1KiB\" to \"1024GiB\", or \"off\")";
    let wait = "the duration is out of range (write a duration from \"1s\" to \"1h\")";
    let up_to = "(write a whole number from 1 to 1000000 or \"off\")";
    for (line, said) in [
        ("head_bytes = \"4KiB\"", head.to_owned()),
        ("head_bytes = \"0B\"", head.to_owned()),
        ("head_bytes = \"2MiB\"", head.to_owned()),
        ("head_bytes = \"32k\"", format!("9:14: limits.head_bytes: \"32k\" {size}")),
        (
            "head_bytes = 32768",
            "9:14: limits.head_bytes: expected a text, found a number (write a size from"
                .to_owned(),
        ),
        (
            "head_bytes = \"8KiB\"",
            "9:14: limits.head_bytes: a head of 8KiB has no room for a target of 8KiB (write \
             target_bytes below head_bytes, \"4KiB\")"
                .to_owned(),
        ),
        ("target_bytes = \"255B\"", target.to_owned()),
        ("target_bytes = \"1MiB\"", target.to_owned()),
        (
            "target_bytes = \"32KiB\"",
            "9:16: limits.target_bytes: a head of 32KiB has no room for a target of 32KiB"
                .to_owned(),
        ),
        (
            "headers = 7",
            "9:11: limits.headers: the number is out of range (write a whole number from 8 to 1000)"
                .to_owned(),
        ),
        ("headers = 1001", "9:11: limits.headers: the number is out of range".to_owned()),
        (
            "headers = \"100\"",
            "9:11: limits.headers: expected a whole number, found a text (write it without quotes: \
             100)"
                .to_owned(),
        ),
        ("head_timeout = \"0s\"", format!("9:16: limits.head_timeout: {wait}")),
        ("head_timeout = \"61m\"", format!("9:16: limits.head_timeout: {wait}")),
        (
            "head_timeout = 10",
            "9:16: limits.head_timeout: expected a text, found a number".to_owned(),
        ),
        ("tls_timeout = \"999ms\"", format!("9:15: limits.tls_timeout: {wait}")),
        (
            "tls_timeout = \"off\"",
            "9:15: limits.tls_timeout: \"off\" is not a duration".to_owned(),
        ),
        ("idle = \"0s\"", format!("9:8: limits.idle: {wait}")),
        ("idle = \"1d\"", format!("9:8: limits.idle: {wait}")),
        ("body_idle = \"0ms\"", format!("9:13: limits.body_idle: {wait}")),
        ("body_idle = \"2h\"", format!("9:13: limits.body_idle: {wait}")),
        (
            "streams = 0",
            "9:11: limits.streams: the number is out of range (write a whole number from 1 to 1000)"
                .to_owned(),
        ),
        ("streams = 1001", "9:11: limits.streams: the number is out of range".to_owned()),
        (
            "streams = \"off\"",
            "9:11: limits.streams: expected a whole number, found a text".to_owned(),
        ),
        (
            "connections = 0",
            "9:15: limits.connections: the number is out of range (write a whole number from 1 to \
             1000000)"
                .to_owned(),
        ),
        ("connections = 1000001", "9:15: limits.connections: the number is out of range".to_owned()),
        ("connections = 1.5", "9:15: limits.connections: expected a whole number".to_owned()),
        (
            "connections_per_address = 0",
            format!("9:27: limits.connections_per_address: the number is out of range {up_to}"),
        ),
        (
            "connections_per_address = \"none\"",
            format!("9:27: limits.connections_per_address: \"none\" is not known here {up_to}"),
        ),
        (
            "connections_per_address = false",
            format!(
                "9:27: limits.connections_per_address: expected a text or a whole number, found \
                 true or false {up_to}"
            ),
        ),
        ("body_bytes = \"0B\"", format!("9:14: limits.body_bytes: {body}")),
        ("body_bytes = \"2000GiB\"", format!("9:14: limits.body_bytes: {body}")),
        (
            "body_bytes = \"none\"",
            "9:14: limits.body_bytes: \"none\" is not a size (write a size from \"1KiB\" to \
             \"1024GiB\", or \"off\")"
                .to_owned(),
        ),
        ("public_body_bytes = \"1B\"", format!("9:21: limits.public_body_bytes: {body}")),
        (
            "public_body_bytes = false",
            "9:21: limits.public_body_bytes: expected a text, found true or false (write a size"
                .to_owned(),
        ),
        (
            "connection = 5",
            "9:1: limits.connection: unknown key (did you mean `connections`?)".to_owned(),
        ),
    ] {
        let findings = findings_of_main(&with_limits(line));
        assert_eq!(findings.len(), 1, "{line}: {findings:#?}");
        assert!(findings[0].starts_with(&format!("{FILE}{said}")), "{line}: {findings:#?}");
    }
}

#[test]
fn fronts_are_addresses_and_networks() {
    let listen =
        "trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\", \"::1\"]\nproxy_protocol = true";
    let config = base(&with_listen(listen)).config(&[]);
    assert!(config.listen.proxy_protocol);
    let fronts = &config.listen.trusted_proxies;
    for (address, is_believed) in [
        ("10.255.0.1", true),
        ("::ffff:10.0.0.1", true),
        ("192.0.2.7", true),
        ("::1", true),
        ("11.0.0.1", false),
        ("192.0.2.8", false),
        ("127.0.0.1", false),
        ("::2", false),
    ] {
        assert_eq!(
            fronts.contains(address.parse().unwrap()),
            is_believed,
            "{address}"
        );
    }
    let variable = (
        "VESTIBULE_LISTEN__TRUSTED_PROXIES",
        "192.0.2.9, 2001:db8::/32",
    );
    let fronts = base(MAIN).config(&[variable]).listen.trusted_proxies;
    assert_eq!(fronts.0.len(), 2);
    let none = base(&with_listen("trusted_proxies = []")).config(&[]);
    assert_eq!(none.listen.trusted_proxies, TrustedProxies::default());
}

#[test]
fn a_front_that_could_be_everybody_or_is_no_network_is_refused_where_it_stands() {
    // S-317
    for (lines, said) in [
        (
            "trusted_proxies = [\"0.0.0.0/0\"]",
            "4:20: listen.trusted_proxies[0]: 0.0.0.0/0 is everybody (nobody can trust everybody",
        ),
        (
            "trusted_proxies = [\"10.0.0.1\", \"::/0\"]",
            "4:32: listen.trusted_proxies[1]: ::/0 is everybody",
        ),
        (
            "trusted_proxies = [\"128.0.0.0/1\"]",
            "4:20: listen.trusted_proxies[0]: 128.0.0.0/1 is too wide to be trusted",
        ),
        (
            "trusted_proxies = [\"10.0.0.1/8\"]",
            "4:20: listen.trusted_proxies[0]: 10.0.0.1/8 names an address within the network \
             10.0.0.0/8 (write \"10.0.0.0/8\", or \"10.0.0.1\" for that address alone)",
        ),
        (
            "trusted_proxies = [\"::ffff:10.0.0.0/104\"]",
            "4:20: listen.trusted_proxies[0]: ::ffff:10.0.0.0/104 is IPv4 in its IPv6 form (write \
             \"10.0.0.0/8\")",
        ),
        (
            "trusted_proxies = [\"front.example\"]",
            "4:20: listen.trusted_proxies[0]: \"front.example\" is no address and no network",
        ),
        (
            "trusted_proxies = \"10.0.0.1\"",
            "4:19: listen.trusted_proxies: expected a list, found a text (write a list: \
             trusted_proxies = [\"10.0.0.1\"])",
        ),
        (
            "proxy_protocol = true",
            "4:18: listen.proxy_protocol: a PROXY header is believed only from \
             `listen.trusted_proxies`, and nobody is there",
        ),
        (
            "proxy_protocol = true\ntrusted_proxies = []",
            "4:18: listen.proxy_protocol: a PROXY header is believed only from",
        ),
        (
            "proxy_protocol = \"v2\"",
            "4:18: listen.proxy_protocol: expected true or false, found a text (write true or \
             false)",
        ),
        // Said once: the list is there, and wrong.
        (
            "proxy_protocol = true\ntrusted_proxies = [\"*\"]",
            "5:20: listen.trusted_proxies[0]: \"*\" is no address and no network",
        ),
    ] {
        let findings = findings_of_main(&with_listen(lines));
        assert_eq!(findings.len(), 1, "{lines}: {findings:#?}");
        assert!(
            findings[0].starts_with(&format!("{FILE}{said}")),
            "{lines}: {findings:#?}"
        );
    }
    let base = base(MAIN);
    for (value, said) in [
        (
            "0.0.0.0/0",
            "listen.trusted_proxies[0]: 0.0.0.0/0 is everybody",
        ),
        ("10.0.0.1/8", "listen.trusted_proxies[0]: 10.0.0.1/8 names"),
    ] {
        let findings = base.findings(&[("VESTIBULE_LISTEN__TRUSTED_PROXIES", value)]);
        let start = format!("error: VESTIBULE_LISTEN__TRUSTED_PROXIES: {said}");
        assert!(findings[0].starts_with(&start), "{findings:#?}");
    }
}

#[test]
fn an_address_is_needed_unless_a_socket_is_handed_over() {
    let base = base(&MAIN.replace("https = \"0.0.0.0:443\"\n", ""));
    let findings = base.findings(&[]);
    let expected =
        "warning: config/vestibule.toml:2:1: listen.https: the key is missing, and no socket";
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].starts_with(expected), "{findings:#?}");
    let config = base.config(&[("LISTEN_FDS", "1")]);
    assert_eq!(config.listen.https, None);
}
