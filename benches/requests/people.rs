//! People as Entra ID describes them in an ID token, and their sessions.

use std::time::Duration;

use serde_json::json;
use vestibule::{
    clock::Clock,
    config::route::Authority,
    identity::{ClaimRules, Identity, ProviderName, RouteId, Standing},
    session::{Session, SessionToken, SignIn},
};

use crate::browser::HOST;

/// The name of the one provider.
pub(crate) const PROVIDER: &str = "entra";
/// The id of the first route.
pub(crate) const ROUTE: &str = "orders";

/// The address of the app.
pub(crate) fn authority() -> Authority {
    Authority {
        host: HOST.to_owned(),
        port: 443,
    }
}

/// The person of this number, with the claims of a usual token.
fn person(number: u32) -> Identity {
    let tenant = "c0a5e1b2-7d3f-4e96-8a41-2f9b6d0e5c73";
    let address = format!("given.family-{number}@contoso.example");
    let claims = json!({
        "aud": "6731de76-14a6-49ae-97bc-6eba6914391e",
        "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        "iat": 1_795_289_400,
        "nbf": 1_795_289_400,
        "exp": 1_795_293_300,
        "email": address,
        "name": format!("Given Family {number}"),
        "nonce": "n-0S6_WzA2Mjn-0S6_WzA2Mjn-0S6_WzA2Mjn-0S6_W",
        "oid": format!("{number:08x}-0000-4000-8000-66f3b3332eca"),
        "preferred_username": address,
        "rh": "0.AQEAsuGlwD99lk6KQS-bbQ5ccy3eMWemFK5Jl7xuumkUOR4BAAA.",
        "roles": ["Orders.Write"],
        "sid": format!("{number:08x}-1111-4111-8111-111111111111"),
        "sub": format!("AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy{number:08x}"),
        "tid": tenant,
        "uti": "bZ9sYqkq2kG5mQ0e2oEYAA",
        "ver": "2.0",
    });
    let claims = claims.as_object().expect("it is an object");
    let provider = ProviderName(PROVIDER.to_owned());
    Identity::from_verified_claims(provider, ClaimRules::Entra, claims).expect("they name somebody")
}

/// A session of the person of this number, a day long and just begun.
pub(crate) fn session(
    number: u32,
    token: &SessionToken,
    standing: Standing,
    clock: &Clock,
) -> Session {
    let identity = person(number);
    let now = clock.now();
    let sign_in = SignIn {
        standing,
        sid: identity.sid().cloned(),
        at: now.wall,
    };
    Session::new(
        token.key(),
        identity,
        sign_in,
        authority(),
        RouteId(ROUTE.to_owned()),
        now.deadline_after(Duration::from_hours(24)),
    )
}
