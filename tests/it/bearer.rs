//! Programs that come in with an access token: which do, as whom, and what becomes of the token.

mod credentials;
mod decisions;
mod keys;
mod paths;
mod reload;
mod streams;

use serde_json::{Value, json};

use crate::support::{
    clock,
    front::{Front, HOST, front},
    issuer::{TENANT, person},
    upstream::{self, Echo},
    vestibule::Upstream,
    wire::{Ask, Reply, ask},
};

const AUDIENCE: &str = "api://wiki";
const CLIENT: &str = "d0000000-0000-4000-8000-00000000000d";
const OBJECT: &str = "e0000000-0000-4000-8000-00000000000e";

/// What stands in the route file of most tests.
const BEARER: &str =
    "[bearer]\naudiences = [\"api://wiki\"]\nroles = [\"Sync\"]\nscopes = [\"read\"]";

/// A front whose one route takes tokens; `rules` begin with `allow`.
async fn taking(app: &impl Upstream, rules: &str) -> Front {
    let front = front(|it| it.route("wiki", HOST, rules, app));
    front.provider_is_known(HOST).await;
    front
}

/// The same in front of an echo, for all who are signed in.
async fn api() -> (Front, Echo) {
    let app = upstream::echo().run();
    let front = taking(&app, &format!("allow = \"signed-in\"\n{BEARER}")).await;
    (front, app)
}

/// `base` with some members set, or removed where the value is null.
fn with(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
        if value.is_null() {
            members.remove(name);
        }
    }
    base
}

/// The claims of a token with which an app acts for Bob.
fn for_bob(front: &Front, changes: &Value) -> Value {
    let bob = person("bob");
    let claims = json!({
        "iss": front.idp.issuer(), "aud": AUDIENCE, "iat": clock::START, "nbf": clock::START,
        "exp": clock::START + 3900, "sub": bob.subject(), "oid": bob.object(), "tid": TENANT,
        "ver": "2.0", "azp": CLIENT, "scp": "read", "name": bob.name(),
        "preferred_username": bob.address(),
    });
    with(claims, changes)
}

/// The claims of a token with which an app acts for itself.
fn for_itself(front: &Front, changes: &Value) -> Value {
    let own = json!({
        "scp": null, "sub": OBJECT, "oid": OBJECT, "roles": ["Sync"], "name": null,
        "preferred_username": null,
    });
    with(for_bob(front, &own), changes)
}

/// A request with a token.
fn bearing(token: &str, target: &str) -> Ask {
    ask("GET", target).with("Authorization", &format!("Bearer {token}"))
}

/// A refusal as programs read it: status, reason, challenge.
fn refusal(reply: &Reply) -> (u16, String, Option<&str>) {
    assert_eq!(reply.header("location"), None);
    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    (
        reply.status,
        reply.reason(),
        reply.header("www-authenticate"),
    )
}

const INVALID_TOKEN: Option<&str> = Some("Bearer error=\"invalid_token\"");
const INVALID_REQUEST: Option<&str> = Some("Bearer error=\"invalid_request\"");
