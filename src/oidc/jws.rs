//! Takes a compact JWS apart and judges its header before any key is looked at.
//!
//! Only `alg` and `kid` of a header have a say, and `alg` only among what was configured. Keys and
//! URLs in a header are ignored. Verifies no signature itself.
//! Source: RFC 7515 4 and 5.2, RFC 8725 3, OIDC Core 2.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use openidconnect::core::CoreJwsSigningAlgorithm;
use serde_json::{Map, Value};

use super::{
    id_token::IdTokenError,
    jwks::{MAX_KID_BYTES, VERIFIABLE, algorithm_name},
    strict_json,
};

/// Most bytes of a token.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What `typ` of an ID token says, if anything. Not what an access token, a logout token or anything
/// else says that names itself.
const ID_TOKEN_TYPES: &[&str] = &["JWT", "application/jwt"];

/// What `typ` of an access token says, if anything (RFC 9068 2.1; Entra ID writes `JWT`).
const ACCESS_TOKEN_TYPES: &[&str] = &["at+jwt", "application/at+jwt", "JWT", "application/jwt"];

/// A token whose form was checked and nothing else: no claim of it may be believed yet.
pub(super) struct Unverified {
    pub(super) algorithm: CoreJwsSigningAlgorithm,
    /// How that algorithm is written in the header.
    pub(super) algorithm_name: &'static str,
    pub(super) kid: Option<String>,
    pub(super) claims: Map<String, Value>,
}

impl Unverified {
    /// Takes an ID token apart; its algorithm must be one of `algorithms`.
    pub(super) fn parse(
        token: &str,
        algorithms: &[CoreJwsSigningAlgorithm],
    ) -> Result<Self, IdTokenError> {
        Self::parse_typed(token, algorithms, ID_TOKEN_TYPES)
    }

    /// Takes an access token apart. Its claims have to say first whose algorithms count.
    pub(super) fn parse_access_token(token: &str) -> Result<Self, IdTokenError> {
        Self::parse_typed(token, VERIFIABLE, ACCESS_TOKEN_TYPES)
    }

    fn parse_typed(
        token: &str,
        algorithms: &[CoreJwsSigningAlgorithm],
        types: &[&str],
    ) -> Result<Self, IdTokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(IdTokenError::Malformed("token"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(IdTokenError::Malformed("token"));
        };
        let header = object(header, "header")?;
        let (algorithm, algorithm_name) = algorithm(&header, algorithms)?;
        let kid = kid(&header)?;
        check_header(&header, types)?;
        if decode(signature, "signature")?.is_empty() {
            return Err(IdTokenError::Signature);
        }
        Ok(Self {
            claims: object(payload, "payload")?,
            algorithm,
            algorithm_name,
            kid,
        })
    }
}

fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, IdTokenError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| IdTokenError::Malformed(name))
}

fn object(part: &str, name: &'static str) -> Result<Map<String, Value>, IdTokenError> {
    strict_json::object(&decode(part, name)?).map_err(|_| IdTokenError::Malformed(name))
}

fn algorithm(
    header: &Map<String, Value>,
    allowed: &[CoreJwsSigningAlgorithm],
) -> Result<(CoreJwsSigningAlgorithm, &'static str), IdTokenError> {
    let named = header.get("alg").and_then(Value::as_str);
    allowed
        .iter()
        .filter_map(|algorithm| Some((algorithm.clone(), algorithm_name(algorithm)?)))
        .find(|(_, name)| Some(*name) == named)
        .ok_or(IdTokenError::Algorithm)
}

fn kid(header: &Map<String, Value>) -> Result<Option<String>, IdTokenError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= MAX_KID_BYTES => Ok(Some(kid.clone())),
        Some(_) => Err(IdTokenError::Header("kid")),
    }
}

fn check_header(header: &Map<String, Value>, types: &[&str]) -> Result<(), IdTokenError> {
    // Each of these changes what the bytes mean, in a way that we do not follow.
    for name in ["b64", "crit", "cty", "enc", "zip"] {
        if header.contains_key(name) {
            return Err(IdTokenError::Header(name));
        }
    }
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(kind)) if types.iter().any(|it| kind.eq_ignore_ascii_case(it)) => Ok(()),
        Some(_) => Err(IdTokenError::Header("typ")),
    }
}
