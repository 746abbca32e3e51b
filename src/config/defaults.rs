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
    listener::{DEFAULT_GRACE, DEFAULT_HSTS, Limits},
    route::DEFAULT_UPSTREAM_TIMEOUT,
    session::{DEFAULT_SESSION_CAPACITY, MAX_SESSION_LIFETIME},
    size,
};

/// The defaults of the main file.
pub(super) fn main_file() -> Layer {
    Layer::built_in(map! {
        "listen".to_owned() => table(map! {
            "grace".to_owned() => written(DEFAULT_GRACE),
            "hsts".to_owned() => written(DEFAULT_HSTS),
            "proxy_protocol".to_owned() => false.into(),
            "trusted_proxies".to_owned() => Value::from(Vec::<Value>::new()),
        }),
        "limits".to_owned() => limits(&Limits::default()),
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

fn limits(limits: &Limits) -> Value {
    let bytes = |bytes: usize| size::written(bytes as u64).into();
    let or_off = |value: Option<Value>| value.unwrap_or_else(|| "off".into());
    let body = |bytes: Option<u64>| or_off(bytes.map(|bytes| size::written(bytes).into()));
    table(map! {
        "body_bytes".to_owned() => body(limits.body_bytes),
        "body_idle".to_owned() => written(limits.body_idle),
        "connections".to_owned() => limits.connections.into(),
        "connections_per_address".to_owned() => or_off(limits.connections_per_address.map(Value::from)),
        "head_bytes".to_owned() => bytes(limits.head_bytes),
        "head_timeout".to_owned() => written(limits.head_timeout),
        "headers".to_owned() => limits.headers.into(),
        "idle".to_owned() => written(limits.idle),
        "public_body_bytes".to_owned() => body(limits.public_body_bytes),
        "streams".to_owned() => limits.streams.into(),
        "target_bytes".to_owned() => bytes(limits.target_bytes),
        "tls_timeout".to_owned() => written(limits.tls_timeout),
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
