//! The provider's signing keys: which of a key set can be used, and which one a token means.
//!
//! Keeps public parts only. A key that cannot be used is skipped, an ambiguous one is never guessed
//! at, and a key that vanished is remembered for a day, because a provider's front ends disagree
//! (`entra.md` 1.3). Fetches nothing. Source: RFC 7517, RFC 7518 6, OIDC Core 10.1.

use std::{collections::BTreeSet, time::Duration};

use aws_lc_rs::signature;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKeyId,
    core::{CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm},
};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::clock::{Deadline, Moment};

/// Most keys that one key set may list.
const MAX_KEYS: usize = 100;

/// Most keys that are remembered over several key sets.
const MAX_REMEMBERED: usize = 500;

/// Most bytes of a key id.
pub(super) const MAX_KID_BYTES: usize = 1024;

/// How long a key counts after it was last seen.
const KEPT_AFTER_LAST_SIGHT: Duration = Duration::from_hours(24);

/// Bits of an RSA modulus that are enough, and that the library still verifies with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key set that replaces nothing.
#[derive(Debug, Eq, Error, PartialEq)]
pub enum KeySetError {
    /// Not one key can verify anything.
    #[error("the key set holds no usable key")]
    NoUsableKey,
    /// `keys` is absent or no array.
    #[error("the key set has no list of keys")]
    NoList,
    /// More keys than anybody needs.
    #[error("the key set lists more than {MAX_KEYS} keys")]
    TooMany,
}

/// A token that means no key, or not exactly one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SelectError {
    /// Several keys could be meant.
    Ambiguous,
    /// The key is of another type, or for another algorithm.
    Unfit,
    /// No key has this id.
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum KeyType {
    Ed25519,
    P256,
    P384,
    Rsa,
}

/// A public key that can verify.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SigningKey {
    kid: Option<String>,
    key_type: KeyType,
    algorithm: Option<String>,
    /// Whose tokens it may sign (Entra ID), perhaps a template.
    pub(super) issuer: Option<String>,
    /// In which of Microsoft's clouds.
    pub(super) cloud: Option<String>,
    /// As the library takes it.
    pub(super) key: CoreJsonWebKey,
}

/// What one fetched document offers.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<SigningKey>,
    ambiguous: BTreeSet<String>,
}

/// All keys that count now.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyRing {
    keys: Vec<Remembered>,
    /// Ids under which the latest document listed different keys.
    ambiguous: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Remembered {
    key: SigningKey,
    until: Deadline,
    in_latest: bool,
}

/// Every algorithm that we verify with.
pub(super) const VERIFIABLE: &[CoreJwsSigningAlgorithm] = &[
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The name of an algorithm that we verify with; `none` and HMAC have none.
pub(super) fn algorithm_name(algorithm: &CoreJwsSigningAlgorithm) -> Option<&'static str> {
    match algorithm {
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256 => Some("RS256"),
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384 => Some("RS384"),
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512 => Some("RS512"),
        CoreJwsSigningAlgorithm::RsaSsaPssSha256 => Some("PS256"),
        CoreJwsSigningAlgorithm::RsaSsaPssSha384 => Some("PS384"),
        CoreJwsSigningAlgorithm::RsaSsaPssSha512 => Some("PS512"),
        CoreJwsSigningAlgorithm::EcdsaP256Sha256 => Some("ES256"),
        CoreJwsSigningAlgorithm::EcdsaP384Sha384 => Some("ES384"),
        CoreJwsSigningAlgorithm::EdDsa => Some("EdDSA"),
        _ => None,
    }
}

fn key_type_of(algorithm: &str) -> Option<KeyType> {
    match algorithm {
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => Some(KeyType::Rsa),
        "ES256" => Some(KeyType::P256),
        "ES384" => Some(KeyType::P384),
        "EdDSA" => Some(KeyType::Ed25519),
        _ => None,
    }
}

impl KeySet {
    /// Picks the usable keys out of a document.
    pub(super) fn parse(document: &Map<String, Value>) -> Result<Self, KeySetError> {
        let list = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(KeySetError::NoList)?;
        if list.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut keys: Vec<SigningKey> = Vec::new();
        for key in list.iter().filter_map(SigningKey::parse) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut seen = BTreeSet::new();
        let ambiguous: BTreeSet<String> = keys
            .iter()
            .filter_map(|key| key.kid.clone())
            .filter(|kid| !seen.insert(kid.clone()))
            .collect();
        keys.retain(|key| key.kid.as_ref().is_none_or(|kid| !ambiguous.contains(kid)));
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Self { keys, ambiguous })
    }
}

impl KeyRing {
    /// This ring with what a document offers now.
    ///
    /// A key id that the document uses anew means the document's key; a key without an id is only
    /// what the latest document says, since nothing tells it from its successor.
    pub(super) fn merged_with(&self, set: KeySet, now: Moment) -> Self {
        let until = now.deadline_after(KEPT_AFTER_LAST_SIGHT);
        let named = |kid: &String| set.keys.iter().any(|key| key.kid.as_ref() == Some(kid));
        let older: Vec<Remembered> = self
            .keys
            .iter()
            .filter(|old| !old.until.has_passed(now))
            .filter(|old| {
                (old.key.kid.as_ref())
                    .is_some_and(|kid| !named(kid) && !set.ambiguous.contains(kid))
            })
            .map(|old| Remembered {
                in_latest: false,
                ..old.clone()
            })
            .collect();
        let latest = set.keys.into_iter().map(|key| Remembered {
            key,
            until,
            in_latest: true,
        });
        // Newest first, so that the bound drops what was seen longest ago.
        let mut keys: Vec<Remembered> = latest.chain(older).collect();
        keys.truncate(MAX_REMEMBERED);
        Self {
            keys,
            ambiguous: set.ambiguous,
        }
    }

    /// The one key that a token with this key id and algorithm means.
    pub(super) fn select(
        &self,
        kid: Option<&str>,
        algorithm: &str,
        now: Moment,
    ) -> Result<&SigningKey, SelectError> {
        let mut usable = self.keys.iter().filter(|it| !it.until.has_passed(now));
        if let Some(kid) = kid {
            if self.ambiguous.contains(kid) {
                return Err(SelectError::Ambiguous);
            }
            let known = usable
                .find(|it| it.key.kid.as_deref() == Some(kid))
                .ok_or(SelectError::Unknown)?;
            return if known.key.fits(algorithm) {
                Ok(&known.key)
            } else {
                Err(SelectError::Unfit)
            };
        }
        if !self.ambiguous.is_empty() {
            return Err(SelectError::Ambiguous);
        }
        let mut fitting = usable.filter(|it| it.in_latest && it.key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(&only.key),
            (Some(_), Some(_)) => Err(SelectError::Ambiguous),
            (None, _) => Err(SelectError::Unknown),
        }
    }
}

impl SigningKey {
    fn parse(value: &Value) -> Option<Self> {
        let members = value.as_object()?;
        let kid = optional_text(members, "kid")?;
        let for_signatures = optional_text(members, "use")?.is_none_or(|it| it == "sig");
        let short = kid.as_ref().is_none_or(|kid| kid.len() <= MAX_KID_BYTES);
        if !for_signatures || !short || !may_verify(members) {
            return None;
        }
        let (key_type, key) = public_key(members, kid.clone().map(JsonWebKeyId::new))?;
        let algorithm = optional_text(members, "alg")?;
        // Not for any algorithm of its type: an encryption key, say.
        if let Some(algorithm) = &algorithm
            && key_type_of(algorithm) != Some(key_type)
        {
            return None;
        }
        Some(Self {
            issuer: optional_text(members, "issuer")?,
            cloud: optional_text(members, "cloud_instance_name")?,
            kid,
            key_type,
            algorithm,
            key,
        })
    }

    fn fits(&self, algorithm: &str) -> bool {
        key_type_of(algorithm) == Some(self.key_type)
            && self.algorithm.as_deref().is_none_or(|own| own == algorithm)
    }
}

/// `None` if the member is there but no text.
#[expect(
    clippy::option_option,
    reason = "an odd member makes the key unusable, an absent one does not"
)]
fn optional_text(members: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match members.get(name) {
        None => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    }
}

fn may_verify(members: &Map<String, Value>) -> bool {
    match members.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|it| it == "verify"),
        Some(_) => false,
    }
}

fn public_key(
    members: &Map<String, Value>,
    kid: Option<JsonWebKeyId>,
) -> Option<(KeyType, CoreJsonWebKey)> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok();
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            is_sound_rsa(&modulus, &exponent).then_some(())?;
            let key = CoreJsonWebKey::new_rsa(modulus, exponent, kid);
            Some((KeyType::Rsa, key))
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            is_on_curve(&signature::ECDSA_P256_SHA256_FIXED, &x, &y, 32).then_some(())?;
            let key = CoreJsonWebKey::new_ec(x, y, CoreJsonCurveType::P256, kid);
            Some((KeyType::P256, key))
        }
        ("EC", Some("P-384")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            is_on_curve(&signature::ECDSA_P384_SHA384_FIXED, &x, &y, 48).then_some(())?;
            let key = CoreJsonWebKey::new_ec(x, y, CoreJsonCurveType::P384, kid);
            Some((KeyType::P384, key))
        }
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x").filter(|x| x.len() == 32)?;
            let key = CoreJsonWebKey::new_okp(x, CoreJsonCurveType::Ed25519, kid);
            Some((KeyType::Ed25519, key))
        }
        _ => None,
    }
}

fn is_sound_rsa(modulus: &[u8], exponent: &[u8]) -> bool {
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    let exponent_bits = bits(exponent);
    odd(modulus)
        && odd(exponent)
        && RSA_BITS.contains(&bits(modulus))
        // An odd number of two bits or more is at least 3; the library takes at most 33 bits.
        && (2..=32).contains(&exponent_bits)
}

/// The bits of a big-endian number without its leading zeros.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match number.get(zeros) {
        Some(first) => (number.len() - zeros) * 8 - first.leading_zeros() as usize,
        None => 0,
    }
}

fn is_on_curve(
    algorithm: &'static signature::EcdsaVerificationAlgorithm,
    x: &[u8],
    y: &[u8],
    length: usize,
) -> bool {
    let point = [&[0x04], x, y].concat();
    x.len() == length
        && y.len() == length
        && signature::ParsedPublicKey::new(algorithm, point).is_ok()
}
