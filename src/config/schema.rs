//! What may be written: the raw form of the main file and of a route file, and the JSON schema of it.
//!
//! The one source for the walk over a file (`walk.rs`), for extraction, and for what an operator is
//! shown. Fields that the schema requires are optional here all the same: what is missing or wrong
//! was reported before extraction, which takes what is well-formed. Nothing here may give a default
//! (`defaults.rs`) or judge how two keys fit together.
//!
//! Keywords used: JSON Schema 2020-12; `writeOnly` marks a secret, `format` a form of `values.rs`.

mod bearer;
mod listener;
mod upstream;

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr, time::Duration};

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

pub(super) use self::{
    bearer::RawBearer,
    listener::{RawLimits, RawListen, RawTls, RawUpTo},
    upstream::{RawHealth, RawTo, RawUpstream},
};
use super::{
    AccessLog,
    addresses::Domain,
    provider_addresses::{Endpoint, Guid, Issuer, Tenant},
    route::{AllowedOrigin, BrowserAnswer, Encoding, From as PublicAddress, Guests, PathPattern},
    template::{HeaderText, TemplateText},
    values::{Algorithm, FilePath, Line, Name, Of, Word},
};
use crate::secret::Secret;

/// The schema of `vestibule.toml`.
#[must_use]
pub fn main_file() -> Value {
    SchemaGenerator::default()
        .into_root_schema_for::<RawMain>()
        .into()
}

/// The schema of a file in `routes.d/`.
#[must_use]
pub fn route_file() -> Value {
    SchemaGenerator::default()
        .into_root_schema_for::<RawRoute>()
        .into()
}

/// `vestibule.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Main")]
pub(super) struct RawMain {
    /// Where to listen, and how.
    pub(super) listen: RawListen,
    /// How much is taken from a client, and how long is waited for one.
    pub(super) limits: RawLimits,
    /// The certificates to serve with.
    pub(super) tls: RawTls,
    /// What vestibule must remember.
    pub(super) state: RawState,
    /// How long sessions live and how many are kept.
    pub(super) session: RawSession,
    /// How requests are logged.
    pub(super) log: RawLog,
    /// Probes and metrics.
    pub(super) ops: RawOps,
    /// Microsoft Entra ID; short for `[idp.entra]`.
    pub(super) entra: Option<RawEntra>,
    /// Further identity providers, by name.
    #[schemars(extend("propertyNames" = { "format": "name" }))]
    pub(super) idp: BTreeMap<String, RawProvider>,
    /// What every route gets unless its own file says otherwise: any key of a route file but `id`,
    /// `title`, `from` and `to`.
    pub(super) defaults: RawDefaults,
    /// Names for what has none that people can read.
    pub(super) aliases: RawAliases,
}

/// `[state]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "State")]
pub(super) struct RawState {
    /// The folder for what must be remembered, a path. Default: `"state"`, beside the config folder.
    pub(super) dir: Option<Of<FilePath>>,
}

/// `[session]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Session")]
pub(super) struct RawSession {
    /// From sign-in to the end, whatever happens in between, a duration, at most `"24h"`. Default:
    /// `"24h"`.
    #[schemars(extend("formatMaximum" = "24h"))]
    pub(super) max: Option<Of<Duration>>,
    /// How many sessions are kept, 1 to 100000000; beyond that the least recently used ends.
    /// Default: 1000000.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(super) capacity: Option<u64>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Log")]
pub(super) struct RawLog {
    /// The form of the line that every request leaves. Default: `"json"`.
    pub(super) access: Option<AccessLog>,
}

/// `[ops]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Ops")]
pub(super) struct RawOps {
    /// Where `/livez`, `/readyz` and `/metrics` are served, `"address:port"`. Default: nowhere.
    #[schemars(extend("examples" = ["127.0.0.1:9090", "[::1]:9090"]))]
    pub(super) listen: Option<Of<SocketAddr>>,
}

/// `[aliases]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Aliases")]
pub(super) struct RawAliases {
    /// Name to value: `erp-eu = "<object id of the group>"`. Default: none.
    #[schemars(extend("propertyNames" = { "format": "line" }))]
    pub(super) groups: BTreeMap<String, Of<Line>>,
}

/// What a provider is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawKind {
    /// Microsoft Entra ID.
    Entra,
    /// Any OpenID provider.
    #[default]
    Oidc,
}

/// `[idp.<name>]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Provider", extend("required" = ["client_id"]))]
pub(super) struct RawProvider {
    /// What the provider is. Default: `"oidc"`.
    pub(super) kind: Option<RawKind>,
    /// For `kind = "oidc"`: the issuer identifier, exactly as its metadata says. Required there.
    pub(super) issuer: Option<Of<Issuer>>,
    /// For Entra ID: the tenant, its id or one of its domains. This or `endpoint`.
    pub(super) tenant: Option<Of<Tenant>>,
    /// For Entra ID: the whole authority, `https://<host>/<tenant>/v2.0`. This or `tenant`.
    pub(super) endpoint: Option<Of<Endpoint>>,
    /// For Entra ID with `common`, `organizations` or `consumers`: ids of the tenants whose people
    /// count. Required there, refused elsewhere.
    #[schemars(length(min = 1))]
    pub(super) tenants: Option<Vec<Of<Guid>>>,
    /// The client (application) id vestibule is registered under. Required.
    pub(super) client_id: Option<Of<Word>>,
    /// The client secret. This or `client_secret_file`.
    pub(super) client_secret: Option<RawSecret>,
    /// The file that holds the client secret, a path; a trailing newline is not part of it.
    pub(super) client_secret_file: Option<Of<FilePath>>,
    /// Scopes to ask for; `openid` must be among them. Default: `["openid", "profile", "email"]`.
    #[schemars(length(min = 1))]
    pub(super) scopes: Option<Vec<Of<Word>>>,
    /// Signature algorithms an ID token may use. Default: `["RS256"]`.
    #[schemars(length(min = 1))]
    pub(super) algorithms: Option<Vec<Of<Algorithm>>>,
    /// PEM file of further roots to trust for this provider alone, a path. Default: none.
    pub(super) ca_file: Option<Of<FilePath>>,
}

/// A route file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Route", extend("required" = ["from", "to", "allow"]))]
pub(super) struct RawRoute {
    /// The name of the route in logs and variables. Default: the file's name without `.toml`.
    pub(super) id: Option<Of<Name>>,
    /// What people read on vestibule's pages. Default: the id.
    pub(super) title: Option<Of<Line>>,
    /// The address people type: `https://`, a host, perhaps a port and a path. Required.
    pub(super) from: Option<Of<PublicAddress>>,
    /// Where the app is: `http://` or `https://`, a host, perhaps a port; `unix:` and the path of a
    /// socket; or a list of such addresses of one kind, one as good as the other. Required.
    pub(super) to: Option<RawTo>,
    /// Who may come in: `"signed-in"`, or a table any line of which lets in. Required.
    pub(super) allow: Option<RawAllow>,
    /// Who is kept out, whatever `allow` says. Default: nobody.
    pub(super) deny: RawRules,
    /// Whether guests of the tenant may come in. Default: `"refuse"`.
    pub(super) guests: Option<Guests>,
    /// What is open without sign-in and gets no identity. Default: nothing.
    pub(super) public: Vec<RawPublic>,
    /// Which access tokens let programs in, with `Authorization: Bearer`. Default: none.
    pub(super) bearer: Option<RawBearer>,
    /// Whose pages may open a WebSocket here, beside the route's own: origins, or `"none"` for clients
    /// that send no `Origin`. Default: nobody's.
    pub(super) origins: Vec<Of<AllowedOrigin>>,
    /// The provider whose word counts, by name. Required when several are configured.
    pub(super) idp: Option<Of<Name>>,
    /// What somebody without a session gets.
    pub(super) unauthenticated: RawUnauthenticated,
    /// What the app is told about the person.
    pub(super) identity: RawIdentity,
    /// How the app is spoken to.
    pub(super) upstream: RawUpstream,
    /// Whom to ask, for vestibule's pages.
    pub(super) help: RawHelp,
}

/// `allow`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Allow")]
pub(super) enum RawAllow {
    /// Everybody the provider vouches for.
    Word(RawAllowWord),
    /// Whoever one of these names.
    Rules(RawRules),
}

/// The words of `allow`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "AllowWord")]
pub(super) enum RawAllowWord {
    /// Members of the configured tenants, or whoever a private provider vouches for.
    SignedIn,
}

/// The tables `[allow]` and `[deny]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Rules")]
pub(super) struct RawRules {
    /// App roles, exact. Default: none.
    pub(super) roles: Vec<Of<Line>>,
    /// Groups: object ids, or names from `[aliases.groups]`. Default: none.
    pub(super) groups: Vec<Of<Line>>,
    /// User names or object ids, in upper or lower case. Default: none.
    pub(super) users: Vec<Of<Line>>,
    /// Domains of verified addresses. Default: none.
    pub(super) domains: Vec<Of<Domain>>,
}

/// One `[[public]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Public", extend("required" = ["path"]))]
pub(super) struct RawPublic {
    /// A whole path, or everything below one: `"/static/*"`. Required.
    pub(super) path: Option<Of<PathPattern>>,
    /// Methods; GET includes HEAD. Default: every method.
    #[schemars(length(min = 1))]
    pub(super) methods: Option<Vec<Of<Method>>>,
}

/// `[unauthenticated]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Unauthenticated")]
pub(super) struct RawUnauthenticated {
    /// What a page view without a session gets. Default: `"redirect"`.
    pub(super) browser: Option<BrowserAnswer>,
}

/// `[identity]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Identity")]
pub(super) struct RawIdentity {
    /// The first of these claims that is there is the user name. Default: `["preferred_username"]`.
    #[schemars(length(min = 1))]
    pub(super) user_claims: Option<Vec<Of<Word>>>,
    /// Which groups `{groups}` holds: those this route names, or all. Default: `"named"`.
    pub(super) groups: Option<RawGroupsSent>,
    /// Header name to value; replaces the default set. Default: `X-Forwarded-User = "{user}"`,
    /// `X-Forwarded-Email = "{email}"`, `X-Forwarded-Preferred-Username = "{preferred_username}"`,
    /// `X-Forwarded-Groups = "{groups}"`.
    #[schemars(extend("propertyNames" = { "format": "identity-header" }))]
    pub(super) headers: BTreeMap<String, RawHeader>,
}

/// `[identity] groups`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "GroupsSent")]
pub(super) enum RawGroupsSent {
    /// Every group of the token.
    All,
    /// The groups this route's rules name.
    Named,
}

/// The value of an identity header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Header")]
pub(super) enum RawHeader {
    /// Its value with placeholders.
    Value(Of<TemplateText>),
    /// The same with how it is written.
    Table(RawHeaderTable),
}

/// The long form of an identity header.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "HeaderTable", extend("required" = ["value"]))]
pub(super) struct RawHeaderTable {
    /// The value with placeholders. Required.
    pub(super) value: Option<Of<TemplateText>>,
    /// What stands between the values of a list. Default: `","`.
    pub(super) join: Option<Of<HeaderText>>,
    /// How anything but plain ASCII is written. Default: `"percent"`.
    pub(super) encoding: Option<Encoding>,
}

/// `[help]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Help")]
pub(super) struct RawHelp {
    /// An address or a place. Default: none.
    pub(super) contact: Option<Of<Line>>,
    /// A sentence or two. Default: none.
    pub(super) text: Option<Of<Line>>,
}

/// A secret: its value is in no finding, whatever is wrong with it.
#[derive(Debug)]
pub(super) struct RawSecret(pub(super) Secret);

impl JsonSchema for RawSecret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "writeOnly": true })
    }
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// `[entra]`: a provider whose kind is settled.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct RawEntra(pub(super) RawProvider);

impl JsonSchema for RawEntra {
    fn schema_name() -> Cow<'static, str> {
        "Entra".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        without(RawProvider::json_schema(generator), &["issuer", "kind"])
    }
}

/// `[defaults]`: checked with the main file, read with each route.
#[derive(Debug, Default)]
pub(super) struct RawDefaults;

impl JsonSchema for RawDefaults {
    fn schema_name() -> Cow<'static, str> {
        "Defaults".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = without(
            RawRoute::json_schema(generator),
            &["from", "id", "title", "to"],
        );
        schema.remove("required");
        schema
    }
}

impl<'de> Deserialize<'de> for RawDefaults {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The schema of a table without some of its keys.
fn without(mut schema: Schema, keys: &[&str]) -> Schema {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|key, _| !keys.contains(&key.as_str()));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|key| !key.as_str().is_some_and(|key| keys.contains(&key)));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::{super::values, *};

    fn each_object(schema: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
        match schema {
            Value::Object(object) => {
                visit(object);
                object.values().for_each(|value| each_object(value, visit));
            }
            Value::Array(list) => list.iter().for_each(|value| each_object(value, visit)),
            _ => {}
        }
    }

    #[test]
    fn every_form_that_a_schema_names_is_checked() {
        for schema in [main_file(), route_file()] {
            each_object(&schema, &mut |object| {
                let Some(format) = object.get("format").and_then(Value::as_str) else {
                    return;
                };
                let of_numbers = matches!(format, "uint" | "uint32" | "uint64");
                assert!(of_numbers || values::allowed(format).is_some(), "{format}");
            });
        }
    }

    #[test]
    fn every_key_says_what_it_is_and_no_table_takes_further_ones() {
        for schema in [main_file(), route_file()] {
            each_object(&schema, &mut |object| {
                let Some(properties) = object.get("properties").and_then(Value::as_object) else {
                    return;
                };
                assert_eq!(
                    object.get("additionalProperties"),
                    Some(&Value::Bool(false))
                );
                for (key, schema) in properties {
                    assert!(schema.get("description").is_some(), "{key}");
                }
            });
        }
    }

    #[test]
    fn a_default_for_routes_never_names_one_route() {
        let main = main_file();
        let defaults = &main["$defs"]["Defaults"];
        for key in ["id", "title", "from", "to"] {
            assert!(defaults["properties"].get(key).is_none(), "{key}");
        }
        assert!(defaults.get("required").is_none());
        assert!(main["$defs"]["Entra"]["properties"].get("kind").is_none());
    }
}
