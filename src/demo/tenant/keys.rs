//! The tenant's signing keys: RSA-2048, published as Entra ID publishes them (`entra.md` 1.3).
//!
//! They are made when first needed, live in memory alone, and sign nothing but the demo's tokens.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Map, Value, json};

/// How many keys are published at least; there is always more than one valid key.
const AT_FIRST: usize = 2;
/// How many keys are published at most; a rotation drops the oldest beyond that.
const AT_MOST: usize = 4;

/// Why a key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error("failed to make a certificate for a signing key")]
    Certificate(#[from] rcgen::Error),
    #[error("failed to make or use a signing key")]
    Key(#[from] aws_lc_rs::error::Unspecified),
}

/// The published keys; the first one signs.
#[derive(Clone)]
pub(super) struct KeyRing(Vec<Arc<SigningKey>>);

impl KeyRing {
    /// The keys every tenant of this process starts with: making RSA keys takes a while.
    pub(super) fn initial() -> Result<Self, KeyError> {
        static INITIAL: OnceLock<KeyRing> = OnceLock::new();
        if let Some(ring) = INITIAL.get() {
            return Ok(ring.clone());
        }
        let made = (0..AT_FIRST)
            .map(|_| SigningKey::generate().map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(INITIAL.get_or_init(|| Self(made)).clone())
    }

    /// Makes a new key and signs with it from now on; older ones stay published for a while.
    pub(super) fn rotate(&mut self) -> Result<(), KeyError> {
        self.0.insert(0, Arc::new(SigningKey::generate()?));
        self.0.truncate(AT_MOST);
        Ok(())
    }

    /// The key set document; each key names the issuer it signs for and no algorithm.
    pub(super) fn document(&self, issuer: &str) -> Value {
        let keys: Vec<Value> = self.0.iter().map(|key| key.published(issuer)).collect();
        json!({ "keys": keys })
    }

    /// A JWT with these claims, RS256.
    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        let key = self.0.first().ok_or(aws_lc_rs::error::Unspecified)?;
        key.sign(claims)
    }
}

struct SigningKey {
    pair: RsaKeyPair,
    /// Base64url of the certificate's SHA-1 digest, as at Entra ID; also `x5t`.
    kid: String,
    certificate: Vec<u8>,
}

impl SigningKey {
    fn generate() -> Result<Self, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
        let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8.as_ref());
        let signer = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_RSA_SHA256)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Emulated Microsoft Entra ID (demo)");
        let certificate = params.self_signed(&signer)?.der().to_vec();
        let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        Ok(Self {
            pair,
            kid: BASE64_URL_SAFE_NO_PAD.encode(thumbprint),
            certificate,
        })
    }

    fn published(&self, issuer: &str) -> Value {
        let public = self.pair.public_key();
        let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
            "x5c": [BASE64_STANDARD.encode(&self.certificate)],
            "issuer": issuer,
        })
    }

    fn sign(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": self.kid });
        let claims = Value::from(claims.clone());
        let [header, claims] =
            [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )?;
        Ok(format!(
            "{signed}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_published_as_entra_publishes_them() {
        let document = KeyRing::initial().unwrap().document("issuer");
        let keys = document["keys"].as_array().unwrap();
        assert!(keys.len() >= 2);
        assert_ne!(keys[0]["kid"], keys[1]["kid"]);
        for key in keys {
            let mut members: Vec<_> = key.as_object().unwrap().keys().collect();
            members.sort_unstable();
            let expected = ["e", "issuer", "kid", "kty", "n", "use", "x5c", "x5t"];
            assert_eq!(members, expected);
            assert_eq!((&key["kid"], &key["e"]), (&key["x5t"], &json!("AQAB")));
            let certificate = BASE64_STANDARD
                .decode(key["x5c"][0].as_str().unwrap())
                .unwrap();
            let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate);
            assert_eq!(key["kid"], BASE64_URL_SAFE_NO_PAD.encode(thumbprint));
        }
    }

    #[test]
    fn a_rotation_signs_with_a_new_key_and_keeps_the_old_ones_published() {
        let mut ring = KeyRing::initial().unwrap();
        let before = ring.document("issuer")["keys"].as_array().unwrap().clone();
        ring.rotate().unwrap();
        let after = ring.document("issuer")["keys"].as_array().unwrap().clone();
        assert_eq!(after[1..], before[..]);
        assert!(!before.contains(&after[0]));
    }
}
