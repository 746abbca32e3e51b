//! The lowest layer: what holds unless something else is written.
//!
//! Values that depend on the machine or on another key (`workers`, `title`) are filled in where they
//! are resolved. The numbers themselves stand beside the resolved fields.

use std::time::Duration;

use figment::{
    util::map,
    value::{Dict, Value},
};

use super::{
    document::Layer,
    listener::{DEFAULT_GRACE, DEFAULT_HSTS},
    route::DEFAULT_UPSTREAM_TIMEOUT,
    session::{DEFAULT_SESSION_CAPACITY, MAX_SESSION_LIFETIME},
};

/// The defaults of the main file.
pub(super) fn main_file() -> Layer {
    Layer::built_in(map! {
        "listen".to_owned() => table(map! {
            "grace".to_owned() => written(DEFAULT_GRACE),
            "hsts".to_owned() => written(DEFAULT_HSTS),
        }),
        "log".to_owned() => table(map! { "access".to_owned() => "json".into() }),
        "session".to_owned() => table(map! {
            "capacity".to_owned() => DEFAULT_SESSION_CAPACITY.into(),
            "max".to_owned() => written(MAX_SESSION_LIFETIME),
        }),
        "state".to_owned() => table(map! { "dir".to_owned() => "state".into() }),
    })
}

/// The defaults of a route.
pub(super) fn route() -> Layer {
    let headers = [
        ("X-Forwarded-User", "{user}"),
        ("X-Forwarded-Email", "{email}"),
        ("X-Forwarded-Preferred-Username", "{preferred_username}"),
        ("X-Forwarded-Groups", "{groups}"),
    ];
    let headers: Dict = headers
        .into_iter()
        .map(|(name, template)| (name.to_owned(), template.into()))
        .collect();
    Layer::built_in(map! {
        "guests".to_owned() => "refuse".into(),
        "identity".to_owned() => table(map! {
            "groups".to_owned() => "named".into(),
            "headers".to_owned() => table(headers),
            "user_claims".to_owned() => Value::from(vec!["preferred_username"]),
        }),
        "unauthenticated".to_owned() => table(map! { "browser".to_owned() => "redirect".into() }),
        "upstream".to_owned() => table(map! {
            "host".to_owned() => "preserve".into(),
            "timeout".to_owned() => written(DEFAULT_UPSTREAM_TIMEOUT),
        }),
    })
}

/// The scopes asked for unless a provider says otherwise.
pub(super) const SCOPES: [&str; 3] = ["openid", "profile", "email"];

fn table(dict: Dict) -> Value {
    dict.into()
}

fn written(duration: Duration) -> Value {
    format!("{}s", duration.as_secs()).into()
}
