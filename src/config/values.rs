//! The written forms of single values: durations, socket addresses, header templates, names.
//!
//! Each form is a type with a [`Format`]: the schema names it, the walk over a file checks it, and
//! extraction parses it, all three by the same function. Nothing here may read a file, and nothing
//! that is a secret comes here.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use http::Method;
use openidconnect::core::CoreJwsSigningAlgorithm;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{
    addresses::{CertifiedName, Domain, RequestPath},
    bearer::TokenIssuer,
    network::Network,
    path_prefix::PathPrefix,
    plain_address::PlainAddress,
    provider_addresses::{Endpoint, Guid, Issuer, Tenant},
    route::{AllowedOrigin, From as PublicAddress, HostHeader, PathPattern, UpstreamAddress},
    size::{Size, SizeOrOff},
    template::{HeaderText, IdentityHeaderName, TemplateText},
};

/// What is wrong with a value, and what is allowed instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// Lower case, no final period.
    pub(super) message: String,
    /// What to write; lower case, no final period.
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (message, remedy) = (message.into(), remedy.into());
        Self { message, remedy }
    }
}

/// A written form, known to the schema by its name.
pub(super) trait Format: Sized {
    /// The `format` keyword in the schema.
    const NAME: &'static str;
    /// What may be written, for findings that cannot say anything better.
    const ALLOWED: &'static str;

    /// Reads the written form.
    fn parse(text: &str) -> Result<Self, Fault>;
}

/// A value in the form `F`, as a field of the schema.
#[derive(Clone, Debug)]
pub(super) struct Of<F>(pub(super) F);

impl<F: Format> JsonSchema for Of<F> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        F::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": F::NAME })
    }
}

impl<'de, F: Format> Deserialize<'de> for Of<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        F::parse(&text).map(Of).map_err(|_| {
            de::Error::custom(format_args!("the value is not in the form `{}`", F::NAME))
        })
    }
}

/// Checks a text against the form the schema names; `None` if there is no such form.
pub(super) fn check(format: &str, text: &str) -> Option<Result<(), Fault>> {
    entry(format).map(|entry| (entry.check)(text))
}

/// What may be written in the form the schema names.
pub(super) fn allowed(format: &str) -> Option<&'static str> {
    entry(format).map(|entry| entry.allowed)
}

/// The value as it is shown in a finding: quoted, escaped, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.chars().count() <= LONGEST {
        format!("{text:?}")
    } else {
        let start: String = text.chars().take(LONGEST).collect();
        format!("{start:?}...")
    }
}

struct Entry {
    name: &'static str,
    allowed: &'static str,
    check: fn(&str) -> Result<(), Fault>,
}

const fn entry_of<F: Format>() -> Entry {
    Entry {
        name: F::NAME,
        allowed: F::ALLOWED,
        check: |text| F::parse(text).map(|_| ()),
    }
}

const FORMATS: &[Entry] = &[
    entry_of::<Algorithm>(),
    entry_of::<AllowedOrigin>(),
    entry_of::<CertifiedName>(),
    entry_of::<Domain>(),
    entry_of::<Duration>(),
    entry_of::<Endpoint>(),
    entry_of::<FilePath>(),
    entry_of::<Guid>(),
    entry_of::<HeaderText>(),
    entry_of::<HostHeader>(),
    entry_of::<Hsts>(),
    entry_of::<IdentityHeaderName>(),
    entry_of::<Issuer>(),
    entry_of::<Line>(),
    entry_of::<Method>(),
    entry_of::<Name>(),
    entry_of::<Network>(),
    entry_of::<PathPattern>(),
    entry_of::<PathPrefix>(),
    entry_of::<PlainAddress>(),
    entry_of::<PublicAddress>(),
    entry_of::<RequestPath>(),
    entry_of::<Size>(),
    entry_of::<SizeOrOff>(),
    entry_of::<SocketAddr>(),
    entry_of::<TemplateText>(),
    entry_of::<Tenant>(),
    entry_of::<TokenIssuer>(),
    entry_of::<UpstreamAddress>(),
    entry_of::<Word>(),
];

fn entry(format: &str) -> Option<&'static Entry> {
    FORMATS.iter().find(|entry| entry.name == format)
}

/// Longer than anything that is waited for or promised here, and far from every overflow.
const LONGEST_DURATION: Duration = Duration::from_hours(3650 * 24);

impl Format for Duration {
    const NAME: &'static str = "duration";
    const ALLOWED: &'static str =
        "write a whole number with its unit, ms, s, m, h or d: \"20s\", \"30m\", \"8h\", \"1d\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = || {
            let message = format!("{} is not a duration", shown(text));
            Fault::new(message, Self::ALLOWED)
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| fault())?;
        let millis_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60 * 1_000,
            "h" => 60 * 60 * 1_000,
            "d" => 24 * 60 * 60 * 1_000,
            _ => return Err(fault()),
        };
        number
            .checked_mul(millis_per_unit)
            .map(Self::from_millis)
            .filter(|duration| *duration <= LONGEST_DURATION)
            .ok_or_else(|| Fault::new(format!("{text} is too long"), "write at most \"3650d\""))
    }
}

/// `[listen] hsts`: how long to promise, or not at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hsts(pub(super) Option<Duration>);

impl Format for Hsts {
    const NAME: &'static str = "duration-or-off";
    const ALLOWED: &'static str = "write a duration, \"1d\" or \"365d\", or \"off\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "off" {
            return Ok(Self(None));
        }
        Duration::parse(text)
            .map(|duration| Self(Some(duration)))
            .map_err(|fault| Fault::new(fault.message, Self::ALLOWED))
    }
}

impl Format for SocketAddr {
    const NAME: &'static str = "socket-address";
    const ALLOWED: &'static str =
        "write an IP address and a port: \"0.0.0.0:443\", \"127.0.0.1:8443\", \"[::]:443\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| {
            let message = format!("{} is not an address to listen on", shown(text));
            Fault::new(
                message,
                listening_at(text).unwrap_or_else(|| Self::ALLOWED.to_owned()),
            )
        })
    }
}

/// The address that somebody meant who wrote half of one.
fn listening_at(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let whole = SocketAddr::new(address, 8443);
        return Some(format!("write the port too: \"{whole}\""));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().ok()?;
    let (here, everywhere) = (
        format!("\"127.0.0.1:{port}\""),
        format!("\"0.0.0.0:{port}\""),
    );
    match host {
        "" | "*" => Some(format!(
            "write {everywhere}, or {here} for this machine alone"
        )),
        "localhost" => Some(format!("names are not looked up: write {here}")),
        _ => None,
    }
}

/// A path in the file system; relative ones are taken from the base.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FilePath(pub(super) PathBuf);

impl Format for FilePath {
    const NAME: &'static str = "file-path";
    const ALLOWED: &'static str =
        "write a path; a relative one is taken from the folder that holds the config folder";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.contains('\0') {
            return Err(Fault::new(
                format!("{} is not a path", shown(text)),
                Self::ALLOWED,
            ));
        }
        Ok(Self(PathBuf::from(text)))
    }
}

/// A signature algorithm for ID tokens: public keys only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Algorithm(pub(super) CoreJwsSigningAlgorithm);

impl Format for Algorithm {
    const NAME: &'static str = "signature-algorithm";
    const ALLOWED: &'static str = "write RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 \
                                   or EdDSA";

    fn parse(text: &str) -> Result<Self, Fault> {
        use CoreJwsSigningAlgorithm as Known;
        let known = match text {
            "ES256" => Known::EcdsaP256Sha256,
            "ES384" => Known::EcdsaP384Sha384,
            "EdDSA" => Known::EdDsa,
            "PS256" => Known::RsaSsaPssSha256,
            "PS384" => Known::RsaSsaPssSha384,
            "PS512" => Known::RsaSsaPssSha512,
            "RS256" => Known::RsaSsaPkcs1V15Sha256,
            "RS384" => Known::RsaSsaPkcs1V15Sha384,
            "RS512" => Known::RsaSsaPkcs1V15Sha512,
            _ => {
                let why = if text.eq_ignore_ascii_case("none") || text.starts_with("HS") {
                    "is never accepted: it proves nothing about who made the token"
                } else {
                    "is not a signature algorithm known here"
                };
                return Err(Fault::new(format!("{} {why}", shown(text)), Self::ALLOWED));
            }
        };
        Ok(Self(known))
    }
}

/// A name that a file, a key and a variable can carry: of a route or of a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name(pub(super) String);

impl Format for Name {
    const NAME: &'static str = "name";
    const ALLOWED: &'static str =
        "write letters, digits, `-`, `_` and `.`, a letter or digit first, at most 64";

    fn parse(text: &str) -> Result<Self, Fault> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        if begins && text.len() <= 64 && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            let message = format!("{} cannot be a name", shown(text));
            Err(Fault::new(message, Self::ALLOWED))
        }
    }
}

/// One word of visible ASCII: client id, scope, claim, role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Word(pub(super) String);

impl Format for Word {
    const NAME: &'static str = "word";
    const ALLOWED: &'static str = "write visible ASCII without blanks and quotes";

    fn parse(text: &str) -> Result<Self, Fault> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if !text.is_empty() && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            let message = format!("{} is not one plain word", shown(text));
            Err(Fault::new(message, Self::ALLOWED))
        }
    }
}

/// A text for people, or the name of something elsewhere: no control characters, no blanks at the
/// edges, not empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line(pub(super) String);

impl Format for Line {
    const NAME: &'static str = "line";
    const ALLOWED: &'static str =
        "write a text without control characters and without blanks at its edges";

    fn parse(text: &str) -> Result<Self, Fault> {
        let reason = if text.is_empty() {
            "the text is empty".to_owned()
        } else if text.chars().any(char::is_control) {
            format!("{} holds a control character", shown(text))
        } else if text.trim() != text {
            format!("{} begins or ends with a blank", shown(text))
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(Fault::new(reason, Self::ALLOWED))
    }
}

impl Format for Method {
    const NAME: &'static str = "method";
    const ALLOWED: &'static str =
        "write methods in upper case: \"GET\" (includes HEAD), \"POST\", \"OPTIONS\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let known = Self::from_bytes(text.as_bytes())
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
        match known {
            Some(Self::CONNECT | Self::TRACE) => Err(Fault::new(
                format!("{text} never reaches an app"),
                Self::ALLOWED,
            )),
            Some(_) if text == "TRACK" => {
                Err(Fault::new("TRACK never reaches an app", Self::ALLOWED))
            }
            Some(method) => Ok(method),
            None => Err(Fault::new(
                format!("{} is not a method", shown(text)),
                Self::ALLOWED,
            )),
        }
    }
}

/// A header name under which its spellings meet: lower case, all but letters and digits as `_`.
pub(super) fn folded(name: &str) -> String {
    let fold = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    name.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, duration) in [
            ("0s", Duration::ZERO),
            ("500ms", Duration::from_millis(500)),
            ("20s", Duration::from_secs(20)),
            ("30m", Duration::from_mins(30)),
            ("8h", Duration::from_hours(8)),
            ("1d", Duration::from_hours(24)),
        ] {
            assert_eq!(Duration::parse(text), Ok(duration));
        }
        for text in [
            "",
            "20",
            "s",
            "20 s",
            " 20s",
            "-1s",
            "+1s",
            "1.5h",
            "1h30m",
            "20S",
            "20sec",
            "1w",
            "99999999999999999999s",
            "18446744073709551615d",
            "3651d",
            "\u{661}s",
        ] {
            assert!(Duration::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_promise_to_browsers_can_be_off() {
        assert_eq!(Hsts::parse("off"), Ok(Hsts(None)));
        assert_eq!(Hsts::parse("1d"), Ok(Hsts(Some(Duration::from_hours(24)))));
        assert!(Hsts::parse("no").unwrap_err().remedy.contains("off"));
    }

    #[test]
    fn an_address_to_listen_on_is_an_ip_address_and_a_port() {
        for text in ["0.0.0.0:443", "[::]:0", "127.0.0.1:8443"] {
            assert!(<SocketAddr as Format>::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "443",
            ":443",
            "localhost:443",
            "*:443",
            "0.0.0.0",
            "0.0.0.0:65536",
        ] {
            assert!(<SocketAddr as Format>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn algorithms_without_a_public_key_are_refused() {
        for text in ["RS256", "PS512", "ES384", "EdDSA"] {
            assert!(Algorithm::parse(text).is_ok(), "{text}");
        }
        for text in ["none", "None", "HS256", "HS512", "rs256", "RS255", ""] {
            assert!(Algorithm::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_method_is_written_in_upper_case_and_reaches_apps() {
        for text in ["GET", "OPTIONS", "M-SEARCH"] {
            assert!(<Method as Format>::parse(text).is_ok(), "{text}");
        }
        for text in ["", "get", "TRACE", "TRACK", "CONNECT", "GET "] {
            assert!(<Method as Format>::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_words_and_lines_hold_nothing_that_deceives() {
        for text in ["wiki", "my-wiki.eu_2", "A"] {
            assert!(Name::parse(text).is_ok(), "{text}");
        }
        for text in ["", ".hidden", "a/b", "a b", "\u{fc}", &"x".repeat(65)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
        for text in ["", "a b", "a\"b", "a\\b", "a\n"] {
            assert!(Word::parse(text).is_err(), "{text:?}");
        }
        for text in ["", " a", "a ", "a\nb", "a\u{1b}[0m"] {
            assert!(Line::parse(text).is_err(), "{text:?}");
        }
        assert!(Line::parse("B\u{fc}ro, 2. Stock").is_ok());
    }

    #[test]
    fn a_value_is_shown_escaped_and_cut() {
        assert_eq!(shown("a\u{1b}"), "\"a\\u{1b}\"");
        assert!(shown(&"x".repeat(10_000)).len() < 100);
    }
}
