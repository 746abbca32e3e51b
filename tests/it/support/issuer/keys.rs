//! The provider's RSA keys: made once per process, published and signed with as a test says.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{self, KeyPair as _, RsaEncoding},
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value, json};

/// A number of a key in the pool that nobody publishes unless a test does.
pub(crate) const FOREIGN_KEY: usize = 3;

static POOL: LazyLock<[KeyPair; 4]> =
    LazyLock::new(|| [(); 4].map(|()| KeyPair::generate(KeySize::Rsa2048).unwrap()));

/// A key of the pool under a name.
#[derive(Clone, Debug)]
pub(crate) struct PublishedKey {
    pub(super) number: usize,
    pub(super) kid: String,
    members: Map<String, Value>,
}

impl PublishedKey {
    /// The key with this number, 0 to 3, as `key-NUMBER`.
    pub(crate) fn numbered(number: usize) -> Self {
        Self {
            number,
            kid: format!("key-{number}"),
            members: Map::new(),
        }
    }

    /// The same key under another name.
    pub(crate) fn named(self, kid: &str) -> Self {
        let kid = kid.to_owned();
        Self { kid, ..self }
    }

    /// One more member of the JWK, or another value for one; `null` removes it.
    pub(crate) fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The public half as a generic provider publishes it.
    pub(crate) fn public(&self) -> Value {
        self.jwk(None)
    }

    /// The public half, as the shape publishes it.
    pub(super) fn jwk(&self, entra_issuer: Option<String>) -> Value {
        let (modulus, exponent) = numbers(POOL[self.number].public_key().as_ref());
        let mut jwk = json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "n": BASE64_URL_SAFE_NO_PAD.encode(modulus),
            "e": BASE64_URL_SAFE_NO_PAD.encode(exponent),
        });
        match entra_issuer {
            Some(issuer) => jwk["issuer"] = json!(issuer),
            None => jwk["alg"] = json!("RS256"),
        }
        put(
            jwk.as_object_mut().expect("it was written as one"),
            &self.members,
        );
        jwk
    }
}

/// Adds or replaces members; `null` removes one.
pub(super) fn put(object: &mut Map<String, Value>, members: &Map<String, Value>) {
    for (name, value) in members {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// The signature of a key of the pool by `RS256`, `RS384`, `RS512` or `PS256`.
pub(super) fn sign(number: usize, algorithm: &str, message: &[u8]) -> Vec<u8> {
    let encoding: &'static dyn RsaEncoding = match algorithm {
        "RS256" => &signature::RSA_PKCS1_SHA256,
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        "PS256" => &signature::RSA_PSS_SHA256,
        other => panic!("the provider cannot sign with {other}"),
    };
    let key = &POOL[number];
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

/// The public key as everybody can read it in PEM.
pub(super) fn public_pem(number: usize) -> String {
    let der: PublicKeyX509Der<'_> = POOL[number].public_key().as_der().unwrap();
    let text = BASE64_STANDARD.encode(der.as_ref());
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + "-----END PUBLIC KEY-----\n"
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 A.1.1), without leading zeros.
fn numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(der);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    (without_zeros(modulus), without_zeros(exponent))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// The content of the DER element at the start, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..=127 => (usize::from(short), 2),
        long => {
            let bytes = usize::from(long & 0x7f);
            let length = der[2..2 + bytes]
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, 2 + bytes)
        }
    };
    der[start..].split_at(length)
}
