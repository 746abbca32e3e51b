//! Keys, tokens and a provider that says what it is told to.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use openidconnect::core::CoreJwsSigningAlgorithm;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use super::super::{
    http_client::HttpClient,
    jwks::{KeyRing, KeySet},
    relying_party::{Expected, RelyingParty},
};
use crate::{
    clock::{ManualClock, Timestamp},
    config::provider::{Provider, ProviderKind, Tenants},
    identity::ProviderName,
    secret::Secret,
};

pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const CLIENT: &str = "the client";
pub(super) const NONCE: &str = "the-nonce-of-this-sign-in";
pub(super) const ISSUER: &str = "https://issuer.example";
pub(super) const TENANT: &str = "c0000000-0000-4000-8000-00000000000c";
pub(super) const OTHER_TENANT: &str = "a0000000-0000-4000-8000-00000000000a";
pub(super) const OBJECT: &str = "b0000000-0000-4000-8000-00000000000b";
pub(super) const REDIRECT: &str = "https://app.example/.vestibule/callback";

/// Two RSA keys per process: making one takes a while.
pub(super) fn rsa(which: usize) -> &'static RsaKeyPair {
    static KEYS: [OnceLock<RsaKeyPair>; 2] = [OnceLock::new(), OnceLock::new()];
    KEYS[which].get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

pub(super) fn ec() -> &'static EcdsaKeyPair {
    static KEY: OnceLock<EcdsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn rsa_jwk(which: usize, kid: &str) -> Value {
    let parts = RsaPublicKeyComponents::<Vec<u8>>::from(rsa(which).public_key());
    json!({"kty": "RSA", "use": "sig", "kid": kid, "n": b64(parts.n), "e": b64(parts.e)})
}

pub(super) fn ec_jwk(kid: &str) -> Value {
    let point = ec().public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..65]),
    })
}

/// `base` with some members set, or removed where the value is `"REMOVE"`.
pub(super) fn with(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    let members = base.as_object_mut().unwrap();
    members.retain(|_, value| value != "REMOVE");
    base
}

pub(super) fn claims(changes: &Value) -> Value {
    let usual = json!({
        "iss": ISSUER, "sub": "ann", "aud": CLIENT, "exp": NOW + 3600, "iat": NOW, "nonce": NONCE,
    });
    with(usual, changes)
}

pub(super) fn entra_claims(issuer_host: &str, changes: &Value) -> Value {
    let own = json!({
        "iss": format!("{issuer_host}/{TENANT}/v2.0"), "tid": TENANT, "oid": OBJECT, "ver": "2.0",
    });
    with(claims(&own), changes)
}

/// Signs header and payload as they stand, by what `alg` of `how` says.
pub(super) fn sign_raw(header: &str, payload: &str, how: &str, which: usize) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let random = SystemRandom::new();
    let signature = if how == "ES256" {
        let signature = ec().sign(&random, input.as_bytes()).unwrap();
        signature.as_ref().to_vec()
    } else {
        let encoding = match how {
            "PS256" => &RSA_PSS_SHA256,
            "RS512" => &RSA_PKCS1_SHA512,
            _ => &RSA_PKCS1_SHA256,
        };
        let key = rsa(which);
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &random, input.as_bytes(), &mut signature)
            .unwrap();
        signature
    };
    format!("{input}.{}", b64(signature))
}

/// An RS256 token of the first key under the id `one`.
pub(super) fn token(claims: &Value) -> String {
    let header = r#"{"alg":"RS256","kid":"one","typ":"JWT"}"#;
    sign_raw(header, &claims.to_string(), "RS256", 0)
}

pub(super) fn key_ring(keys: &[Value]) -> KeyRing {
    let document = json!({ "keys": keys });
    let set = KeySet::parse(document.as_object().unwrap()).unwrap();
    KeyRing::default().merged_with(set, clock().clock().now())
}

pub(super) fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_unix_seconds(NOW))
}

pub(super) fn provider(kind: ProviderKind) -> Provider {
    Provider {
        name: ProviderName("idp".to_owned()),
        kind,
        client_id: CLIENT.to_owned(),
        client_secret: Secret::new("s:e%c+r e~tü".to_owned()),
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        algorithms: vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
        ca_file: None,
    }
}

pub(super) fn oidc(issuer: &str) -> ProviderKind {
    ProviderKind::Oidc {
        issuer: issuer.to_owned(),
    }
}

pub(super) fn entra(authority: &str, listed: &[&str]) -> ProviderKind {
    let listed: Vec<String> = listed.iter().map(|&tenant| tenant.to_owned()).collect();
    ProviderKind::Entra {
        authority: Url::parse(authority).unwrap(),
        tenants: if listed.is_empty() {
            Tenants::Single
        } else {
            Tenants::Listed(listed)
        },
    }
}

/// One that knows nothing yet, of any provider.
pub(super) fn relying_party_of(provider: Provider, clock: &ManualClock) -> Arc<RelyingParty> {
    let http = HttpClient::new(None, false).unwrap();
    RelyingParty::with_http(provider, clock.clock(), http).unwrap()
}

pub(super) fn expected() -> Expected {
    Expected {
        redirect_uri: REDIRECT.to_owned(),
        nonce: Secret::new(NONCE.to_owned()),
        pkce_verifier: Secret::new("the-verifier-of-this-sign-in-which-is-long-enough".to_owned()),
    }
}

pub(super) fn code() -> Secret {
    Secret::new("the-code".to_owned())
}

/// What the provider says to one path.
#[derive(Clone)]
pub(super) struct Say {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

impl Say {
    pub(super) fn json(body: &Value) -> Self {
        Self::text(200, "application/json", body.to_string())
    }

    pub(super) fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            location: None,
            body,
        }
    }
}

/// What the provider was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

/// A provider on loopback.
#[derive(Clone)]
pub(super) struct FakeProvider {
    pub(super) address: SocketAddr,
    said: Arc<Mutex<HashMap<String, Say>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeProvider {
    /// Metadata, one key and a good token, until told otherwise.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            said: Arc::default(),
            asked: Arc::default(),
        };
        fake.say(
            "/.well-known/openid-configuration",
            Say::json(&fake.metadata()),
        );
        fake.say_keys(&[rsa_jwk(0, "one")]);
        fake.say_token(&token(&fake.claims(&json!({}))));
        let server = fake.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = server.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| server.clone().answer(request));
                    let builder = http1::Builder::new();
                    // A client that hangs up is part of some tests.
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        fake
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn metadata(&self) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "end_session_endpoint": format!("{issuer}/logout?brand=x"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
        })
    }

    pub(super) fn claims(&self, changes: &Value) -> Value {
        with(claims(&json!({"iss": self.issuer()})), changes)
    }

    pub(super) fn say(&self, path: &str, say: Say) {
        self.said.lock().unwrap().insert(path.to_owned(), say);
    }

    pub(super) fn say_metadata(&self, changes: &Value) {
        let document = with(self.metadata(), changes);
        self.say("/.well-known/openid-configuration", Say::json(&document));
    }

    pub(super) fn say_keys(&self, keys: &[Value]) {
        self.say("/keys", Say::json(&json!({ "keys": keys })));
    }

    pub(super) fn say_token(&self, id_token: &str) {
        let answer = json!({"token_type": "Bearer", "access_token": "at", "id_token": id_token});
        self.say("/token", Say::json(&answer));
    }

    /// Every request to `path` so far.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|it| it.path == path).cloned().collect()
    }

    pub(super) fn provider(&self) -> Provider {
        provider(oidc(&self.issuer()))
    }

    /// A relying party that knows nothing yet.
    pub(super) fn relying_party(&self, clock: &ManualClock) -> Arc<RelyingParty> {
        relying_party_of(self.provider(), clock)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let path = parts.uri.path().to_owned();
        self.asked.lock().unwrap().push(Asked {
            path: path.clone(),
            headers: parts.headers,
            body: String::from_utf8(body.unwrap_or_default().to_vec()).unwrap(),
        });
        let say = self.said.lock().unwrap().get(&path).cloned();
        let say = say.unwrap_or_else(|| Say::text(404, "text/plain", String::new()));
        let mut response = Response::builder()
            .status(say.status)
            .header("content-type", say.content_type);
        if let Some(location) = say.location {
            response = response.header("location", location);
        }
        Ok(response.body(Full::new(Bytes::from(say.body))).unwrap())
    }
}
