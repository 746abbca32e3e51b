//! The program on an operator's files: every fault at once, with its place, and nothing served.

use std::{fs, net::TcpStream, os::unix::fs::PermissionsExt, process::Output};

use serde_json::Value;

use crate::support::{
    clock,
    front::HOST,
    issuer, pki,
    vestibule::{self, Builder},
};

const OTHER: &str = "erp.example";

/// Good files for two hosts; the provider and the apps need not be there.
fn good() -> Builder {
    let time = clock::manual();
    let idp = issuer::honest(&time).entra().run();
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let rules = "allow = \"signed-in\"";
    vestibule::new()
        .route("wiki", HOST, rules, &nowhere)
        .route("erp", OTHER, "[allow]\nroles = [\"Clerk\"]\n[deny]\nusers = [\"eve@corp.example\"]\n[[public]]\npath = \"/static/*\"\nmethods = [\"GET\"]\n[bearer]\naudiences = [\"api://erp\"]\nroles = [\"Sync\"]\nscopes = [\"read\"]", &nowhere)
        .entra(&idp)
}

fn run(built: &Builder, arguments: &[&str]) -> Output {
    built.command().args(arguments).output().unwrap()
}

/// Runs on the files as they lie there, after `change`; the builder would write some anew.
fn run_changed(built: &Builder, change: impl FnOnce(&Builder), arguments: &[&str]) -> Output {
    let mut command = built.command();
    change(built);
    command.args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn append(built: &Builder, file: &str, text: &str) {
    let file = built.folder().join(file);
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}{text}")).unwrap();
}

fn replace(built: &Builder, file: &str, from: &str, to: &str) {
    let file = built.folder().join(file);
    let before = fs::read_to_string(&file).unwrap();
    assert!(before.contains(from), "{before}");
    fs::write(&file, before.replacen(from, to, 1)).unwrap();
}

/// The number of the line of a file that holds `text`, from one.
fn line_of(built: &Builder, file: &str, text: &str) -> usize {
    let content = fs::read_to_string(built.folder().join(file)).unwrap();
    let at = content.lines().position(|line| line.contains(text));
    at.unwrap_or_else(|| panic!("{text} in {content}")) + 1
}

/// Six faults of six kinds in six files.
fn break_it(built: &Builder) {
    append(built, "config/vestibule.toml", "[sesion]\nmax = \"8h\"\n");
    replace(
        built,
        "config/vestibule.toml",
        "workers = 2",
        "workers = \"two\"",
    );
    replace(
        built,
        "config/vestibule.toml",
        "secrets/entra",
        "secrets/nowhere",
    );
    fs::write(
        built.folder().join("certs/wiki.example.crt"),
        "no certificate\n",
    )
    .unwrap();
    let key = pki::fresh().leaf(&[OTHER]).key_pem;
    pki::write_private(&built.folder().join("certs/erp.example.key"), &key);
    replace(built, "config/routes.d/erp.toml", "\"Clerk\"", "17");
}

#[test]
fn every_fault_is_named_with_its_place_and_nothing_is_served() {
    for arguments in [&["serve"][..], &[], &["check"], &["routes"]] {
        let built = good();
        let output = run_changed(&built, break_it, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = match arguments {
            ["check"] => stdout(&output),
            _ => stderr(&output),
        };
        let main = "config/vestibule.toml";
        for (file, line, words) in [
            (main, Some("[sesion]"), "did you mean `session`"),
            (main, Some("\"two\""), "listen.workers: expected"),
            (main, Some("secrets/nowhere"), "entra.client_secret_file"),
            ("certs/wiki.example.crt", None, "certificate"),
            (
                "certs/erp.example.key",
                None,
                "the key does not fit the certificate",
            ),
            ("config/routes.d/erp.toml", Some("[17]"), "allow.roles[0]"),
        ] {
            let place = match line {
                Some(text) => format!("{file}:{}:", line_of(&built, file, text)),
                None => file.to_owned(),
            };
            let line = said.lines().find(|line| {
                line.starts_with("error: ") && line.contains(&place) && line.contains(words)
            });
            assert!(line.is_some(), "{arguments:?}: {place} {words} in\n{said}");
        }
        assert!(!said.contains(" panicked "), "{said}");
        assert!(!stdout(&output).contains("https://"), "no table of routes");
        assert!(TcpStream::connect(("127.0.0.1", built.port())).is_err());
    }
}

#[test]
fn a_host_without_a_certificate_is_named_whatever_else_is_wrong() {
    let built = good();
    let broken = |built: &Builder| {
        for file in ["certs/wiki.example.crt", "certs/wiki.example.key"] {
            fs::remove_file(built.folder().join(file)).unwrap();
        }
        append(built, "config/vestibule.toml", "[sesion]\n");
    };
    let output = run_changed(&built, broken, &["check"]);
    let said = stdout(&output);
    assert!(
        said.contains("no certificate covers the host wiki.example"),
        "{said}"
    );
    assert!(said.ends_with("2 errors, 0 warnings\n"), "{said}");
}

#[test]
fn a_host_without_a_certificate_is_an_error() {
    let built = good();
    let remove = |built: &Builder| {
        fs::remove_file(built.folder().join("certs/wiki.example.crt")).unwrap();
        fs::remove_file(built.folder().join("certs/wiki.example.key")).unwrap();
    };
    let output = run_changed(&built, remove, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    let place = format!(
        "wiki.toml:{}:",
        line_of(&built, "config/routes.d/wiki.toml", "from")
    );
    assert!(
        said.contains("no certificate covers the host wiki.example"),
        "{said}"
    );
    assert!(said.contains(&place) && !said.contains("erp"), "{said}");
    assert!(said.ends_with("1 error, 0 warnings\n"), "{said}");
}

#[test]
fn good_files_are_fine() {
    assert_eq!(good().findings(), []);
    let built = good();
    for arguments in [&["check"][..], &["check", "--strict"]] {
        let output = run(&built, arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(stdout(&output).starts_with("fine: "), "{output:?}");
    }
    let output = run(&built, &["check", "--format", "json"]);
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(0), "[]\n"));
}

#[test]
fn warnings_count_only_where_they_are_asked_to() {
    let built = good();
    let warned = |built: &Builder| {
        let expired = built.pki().expired_leaf(&[HOST]);
        expired.write(&built.folder().join("certs"), HOST);
        for file in ["secrets/entra", "certs/erp.example.key"] {
            let open = fs::Permissions::from_mode(0o644);
            fs::set_permissions(built.folder().join(file), open).unwrap();
        }
    };
    let output = run_changed(&built, warned, &["check"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    for (file, words) in [
        ("wiki.example.crt", "expired at 2001-01-01"),
        ("erp.example.key", "everybody on this machine can read"),
        ("secrets/entra", "everybody on this machine can read"),
    ] {
        let line = said
            .lines()
            .find(|line| line.contains(file))
            .unwrap_or_default();
        assert!(
            line.starts_with("warning: ") && line.contains(words),
            "{file}: {said}"
        );
    }
    assert!(said.ends_with("0 errors, 3 warnings\n"), "{said}");
    let output = run_changed(&built, warned, &["check", "--strict"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), said));
}

#[test]
fn a_script_reads_the_same_findings_as_json() {
    let built = good();
    let output = run_changed(&built, break_it, &["check", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of_key = |key: &str| findings.iter().find(|it| it["key"] == key).unwrap();
    let workers = of_key("listen.workers");
    let line = line_of(&built, "config/vestibule.toml", "\"two\"");
    assert_eq!(
        (&workers["severity"], &workers["line"]),
        (&"error".into(), &line.into())
    );
    assert!(
        workers["file"]
            .as_str()
            .unwrap()
            .ends_with("config/vestibule.toml")
    );
    assert!(workers["column"].as_u64().unwrap() > 1);
    for finding in &findings {
        for text in ["message", "remedy"] {
            assert!(finding[text].is_string(), "{finding}");
        }
    }
    assert_eq!(of_key("sesion")["severity"], "error");
}

#[test]
fn routes_are_printed_as_they_would_be_served() {
    let built = good();
    let output = run(&built, &["routes", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        rows[0],
        serde_json::json!({
            "id": "erp",
            "from": built.url(OTHER, ""),
            "to": "http://127.0.0.1:9",
            "allow": "role:Clerk",
            "deny": "user:eve@corp.example",
            "public": ["GET:/static/*"],
            "bearer": "role:Sync scope:read",
            "idp": "entra",
        })
    );
    assert_eq!(
        (&rows[1]["id"], &rows[1]["allow"]),
        (&"wiki".into(), &"signed-in".into())
    );
    let table = stdout(&run(&built, &["routes"]));
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("ID") && lines.len() == 3, "{table}");
    assert!(lines[2].contains(&built.url(HOST, "")), "{table}");
}

#[test]
fn no_secret_is_echoed_however_wrong_it_is() {
    // S-009
    let secret = "sup3r-s3cret-value";
    for (name, value) in [
        ("VESTIBULE_ENTRA__CLIENT_SECRET", secret.to_owned()),
        ("VESTIBULE_ENTRA__CLIENT_SECRET", format!("[\"{secret}\"]")),
        (
            "VESTIBULE_ENTRA__CLIENT_SECRET",
            format!("{{ x = \"{secret}\" }}"),
        ),
    ] {
        let built = good().variable(name, &value);
        for arguments in [
            &["check"][..],
            &["check", "--format", "json"],
            &["routes"],
            &["serve"],
        ] {
            let output = run(&built, arguments);
            // The file gives one too: two secrets are one too many.
            assert_eq!(output.status.code(), Some(1), "{value} {arguments:?}");
            let said = stdout(&output) + &stderr(&output);
            assert!(!said.contains(secret), "{said}");
            assert!(!said.contains(issuer::CLIENT_SECRET), "{said}");
        }
    }
    let built = good();
    for line in [
        format!("client_secret = \"{secret}\"\n"),
        format!("client_secret = [\"{secret}\"]\n"),
        format!("client_secret = \"{secret}\n"),
        format!("client_secret = {secret}\n"),
        format!("client_secrets = \"{secret}\"\n"),
    ] {
        let broken = |built: &Builder| append(built, "config/vestibule.toml", &line);
        let output = run_changed(&built, broken, &["check"]);
        assert_eq!(output.status.code(), Some(1), "{line}");
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains("vestibule.toml:"), "{said}");
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_key_in_a_certificate_file_is_not_echoed_either() {
    // S-009
    let built = good();
    let swapped = |built: &Builder| {
        let certs = built.folder().join("certs");
        let key = fs::read(certs.join("wiki.example.key")).unwrap();
        fs::write(certs.join("wiki.example.crt"), key).unwrap();
        fs::write(
            certs.join("erp.example.key"),
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n",
        )
        .unwrap();
    };
    let output = run_changed(&built, swapped, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let key = fs::read_to_string(built.folder().join("certs/wiki.example.key")).unwrap();
    let said = stdout(&output) + &stderr(&output);
    for line in key
        .lines()
        .chain(["c2VjcmV0"])
        .filter(|line| !line.starts_with('-'))
    {
        assert!(!said.contains(line), "{said}");
    }
}

#[test]
fn only_names_with_two_underscores_are_configuration() {
    // Clusters inject names of services.
    let built = good()
        .variable("VESTIBULE_PORT", "tcp://10.0.0.1:443")
        .variable("VESTIBULE_SERVICE_HOST", "10.0.0.1");
    assert_eq!(run(&built, &["check", "--strict"]).status.code(), Some(0));
    let built = good().variable("VESTIBULE_LISTEN__WORKER", "2");
    let output = run(&built, &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("VESTIBULE_LISTEN__WORKER"),
        "{output:?}"
    );
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let built = good();
    let _holder = std::net::TcpListener::bind(("127.0.0.1", built.port())).unwrap();
    let output = run(&built, &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    let address = format!("failed to listen on 127.0.0.1:{}", built.port());
    assert!(stderr(&output).contains(&address), "{output:?}");
}

#[test]
fn wrong_usage_is_its_own_exit_code() {
    let built = good();
    for arguments in [&["chek"][..], &["check", "--format", "xml"], &["--nothing"]] {
        assert_eq!(
            run(&built, arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    let version = run(&built, &["version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        stdout(&version),
        format!("vestibule {}\n", env!("CARGO_PKG_VERSION"))
    );
}
