//! What an operator would have written for the house, and who has signed in.

use std::{fs, net::SocketAddr, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use vestibule::{
    clock::Clock,
    config::{Config, load::load, route::Authority},
    identity::{ClaimRules, Identity, ProviderName, RouteId, Standing},
    session::{Session, SessionStore, SessionToken, SignIn},
};

use super::{ADMIN, USER, WIKI};

const MAIN: &str = r#"
[listen]
https = "127.0.0.1:8443"
[idp.house]
issuer = "https://id.test"
client_id = "vestibule"
client_secret = "of no account"
[log]
access = "off"
"#;

/// The names of the identity headers are spelled in two ways, so that each has others to be told from.
const WIKI_RULES: &str = r#"
from = "https://app.test"
allow = "signed-in"
[[public]]
path = "/open/*"
[[public]]
path = "/health"
methods = ["GET"]
[identity.headers]
X-Remote-User = "{user}"
"X_Auth.Name" = "{name}"
"#;

const ADMIN_RULES: &str = r#"
from = "https://app.test/admin"
allow = { users = ["root@example.com"] }
"#;

const OTHER_RULES: &str = r#"
from = "https://other.test"
allow = "signed-in"
"#;

/// A configuration with `apps` behind it, and the folder it was read from.
pub(super) fn configured(apps: [SocketAddr; 2]) -> (TempDir, Config) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let routes = folder.path().join("config/routes.d");
    let certs = folder.path().join("certs");
    let write = |file, text: String| fs::write(file, text).expect("the folder can be written");
    fs::create_dir_all(&routes).expect("the folder can be written");
    fs::create_dir_all(&certs).expect("the folder can be written");
    for (name, rules, app) in [
        ("wiki", WIKI_RULES, apps[WIKI]),
        ("admin", ADMIN_RULES, apps[ADMIN]),
        ("other", OTHER_RULES, apps[WIKI]),
    ] {
        let text = format!("to = \"http://{app}\"\n{rules}");
        write(routes.join(format!("{name}.toml")), text);
    }
    // Nobody opens them here, but there have to be some.
    write(certs.join("house.crt"), String::new());
    write(certs.join("house.key"), String::new());
    write(folder.path().join("config/vestibule.toml"), MAIN.to_owned());
    let loaded = load(&folder.path().join("config"), &[]);
    let config = loaded.config;
    let config = config.unwrap_or_else(|| panic!("{:#?}", loaded.findings));
    (folder, config)
}

/// The token of a new session at `host`.
pub(super) fn session_of(
    host: &str,
    standing: Standing,
    store: &dyn SessionStore,
    clock: &Clock,
) -> SessionToken {
    let token = SessionToken::random();
    let claims = json!({
        "iss": "https://id.test",
        "sub": "ann",
        "preferred_username": USER,
        "name": "Ann",
        "email": USER,
    });
    let claims = claims.as_object().expect("it is an object");
    let provider = ProviderName("house".to_owned());
    let identity = Identity::from_verified_claims(provider, ClaimRules::Oidc, claims);
    let now = clock.now();
    let session = Session::new(
        token.key(),
        identity.expect("the claims name Ann"),
        SignIn {
            standing,
            sid: None,
            at: now.wall,
        },
        Authority {
            host: host.to_owned(),
            port: 443,
        },
        RouteId("wiki".to_owned()),
        now.deadline_after(Duration::from_hours(24)),
    );
    store.insert(session).expect("the store is in memory");
    token
}
