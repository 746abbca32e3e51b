//! The provider itself under test: whole sign-ins, walked by hand and judged by another library.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::Request;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Map, Value, json};
use vestibule::identity::is_guid;
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};

use super::*;
use crate::support::{
    client::{Answer, Browser, browser},
    clock, pki,
};

const CALLBACK: &str = "https://wiki.example/.vestibule/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-";
/// The SHA-256 of [`VERIFIER`], base64url.
fn challenge() -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

/// A provider with somebody who signs in at it.
struct Walk {
    time: ManualClock,
    idp: Issuer,
    browser: Browser,
}

fn walk(shape: impl FnOnce(IssuerBuilder) -> IssuerBuilder) -> Walk {
    let time = clock::manual();
    Walk {
        idp: shape(honest(&time)).run(),
        browser: browser(&pki::fresh(), time.clock()),
        time,
    }
}

impl Walk {
    async fn metadata(&mut self) -> Value {
        let url = format!("{}/.well-known/openid-configuration", self.idp.authority());
        self.browser.get(&url).await.json()
    }

    async fn key_set(&mut self) -> Value {
        let uri = self.metadata().await["jwks_uri"].clone();
        self.browser.get(uri.as_str().unwrap()).await.json()
    }

    /// The answer of the authorization endpoint.
    async fn authorize(&mut self, change: impl FnOnce(&mut Fields)) -> Answer {
        let mut asked = owned(&[
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "a state"),
            ("nonce", "a nonce"),
            ("code_challenge", &challenge()),
            ("code_challenge_method", "S256"),
        ]);
        change(&mut asked);
        let endpoint = self.metadata().await["authorization_endpoint"].clone();
        let mut url = url::Url::parse(endpoint.as_str().unwrap()).unwrap();
        url.query_pairs_mut().extend_pairs(asked);
        self.browser.view(url.as_str()).await
    }

    /// The parameters of an honest request's way back.
    async fn back(&mut self) -> Fields {
        let to = self.authorize(|_| ()).await.redirects_to().unwrap();
        assert!(to.as_str().starts_with(CALLBACK));
        to.query_pairs().into_owned().collect()
    }

    /// The answer of the token endpoint, by HTTP Basic.
    async fn redeem(&mut self, change: impl FnOnce(&mut Fields)) -> Answer {
        let code = field(&self.back().await, "code").unwrap().to_owned();
        let mut form = owned(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ]);
        change(&mut form);
        self.token(&form, Some(&basic(CLIENT_SECRET))).await
    }

    async fn token(&mut self, form: &Fields, authorization: Option<&str>) -> Answer {
        let endpoint = self.metadata().await["token_endpoint"].clone();
        let mut request = Request::post(endpoint.as_str().unwrap())
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = request.body(Bytes::from(body)).unwrap();
        self.browser.send(request).await
    }

    async fn id_token(&mut self) -> String {
        let answer = self.redeem(|_| ()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id_token"].as_str().unwrap().to_owned()
    }

    async fn claims(&mut self) -> Map<String, Value> {
        let token = self.id_token().await;
        serde_json::from_slice(&part(&token, 1)).unwrap()
    }

    /// Whether a published key made the signature, in the eyes of another library.
    async fn is_signed(&mut self, token: &str) -> bool {
        let keys: JwkSet = serde_json::from_value(self.key_set().await).unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_exp = false;
        rules.set_audience(&[CLIENT_ID]);
        jsonwebtoken::decode::<Value>(token, &key, &rules).is_ok()
    }
}

fn owned(fields: &[(&str, &str)]) -> Fields {
    let fields = fields.iter().copied();
    fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn replace(fields: &mut Fields, name: &str, value: &str) {
    fields.retain(|(it, _)| it != name);
    fields.extend(owned(&[(name, value)]));
}

fn basic(secret: &str) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let (id, secret): (String, String) = (encoded(CLIENT_ID), encoded(secret));
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

fn part(token: &str, at: usize) -> Vec<u8> {
    let part = token.split('.').nth(at).unwrap();
    BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()
}

#[tokio::test]
async fn an_honest_sign_in_gives_a_token_that_another_library_takes() {
    let mut walk = walk(|it| it);
    walk.idp
        .signs_in(person("bob").groups(&["staff"]).roles(&["Reader"]));
    let token = walk.id_token().await;
    assert!(walk.is_signed(&token).await);
    let claims: Value = serde_json::from_slice(&part(&token, 1)).unwrap();
    assert_eq!(claims["iss"], json!(walk.idp.issuer()));
    assert_eq!(claims["iss"], json!(walk.idp.authority()));
    assert_eq!(claims["sub"], json!(person("bob").subject()));
    assert_eq!(claims["email"], "bob@corp.example");
    assert_eq!(claims["nonce"], "a nonce");
    assert_eq!(claims["iat"], json!(clock::START));
    assert_eq!(
        (&claims["groups"], &claims["roles"]),
        (&json!(["staff"]), &json!(["Reader"]))
    );
    let discoveries = walk.idp.discovery_fetches();
    assert!(discoveries > 0 && walk.idp.key_fetches() == 1);
    assert_eq!(walk.idp.token_requests().len(), 1);
    assert_eq!(
        field(&walk.idp.token_requests()[0].form, "code_verifier"),
        Some(VERIFIER)
    );
    assert_eq!(
        field(&walk.idp.authorization_requests()[0], "state"),
        Some("a state")
    );
}

#[tokio::test]
async fn the_entra_shape_has_what_entra_has() {
    let mut walk = walk(IssuerBuilder::entra);
    let keys = walk.key_set().await;
    assert_eq!(keys["keys"][0].get("alg"), None);
    assert!(
        keys["keys"][0]["issuer"]
            .as_str()
            .unwrap()
            .contains("{tenantid}")
    );
    let metadata = walk.metadata().await;
    assert_eq!(metadata.get("code_challenge_methods_supported"), None);
    assert_eq!(metadata["issuer"], json!(walk.idp.issuer()));
    let back = walk.back().await;
    assert!(field(&back, "code").unwrap().len() > 1000);
    let claims = walk.claims().await;
    assert_eq!(
        (&claims["tid"], &claims["ver"]),
        (&json!(TENANT), &json!("2.0"))
    );
    assert!(is_guid(claims["oid"].as_str().unwrap()) && is_guid(TENANT));
    assert_eq!(claims["oid"], json!(person("ann").object()));
    assert!(is_guid(field(&back, "session_state").unwrap()));
}

#[tokio::test]
async fn a_template_is_filled_with_the_persons_own_tenant() {
    let mut walk = walk(IssuerBuilder::template);
    let other = "99999999-2222-4333-8444-555555555555";
    walk.idp
        .signs_in(person("bob").in_tenant(other).claim("acct", 1));
    assert!(walk.idp.issuer().ends_with("/{tenantid}/v2.0"));
    assert!(walk.idp.authority().ends_with("/organizations/v2.0"));
    let claims = walk.claims().await;
    let issuer = walk.idp.issuer().replace("{tenantid}", other);
    assert_eq!(
        (&claims["iss"], &claims["tid"]),
        (&json!(issuer), &json!(other))
    );
    assert_eq!(claims["acct"], 1);
}

#[tokio::test]
async fn a_strict_provider_refuses_what_is_not_right() {
    let mut walk = walk(|it| it);
    for (name, value) in [
        ("code", "unknown"),
        ("redirect_uri", "https://wiki.example/"),
        ("code_verifier", "another"),
        ("grant_type", "implicit"),
    ] {
        let answer = walk.redeem(|form| replace(form, name, value)).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.json()["error"], "invalid_grant", "{name}");
    }
    for lacking in ["nonce", "code_challenge", "scope", "response_type"] {
        let answer = walk
            .authorize(|asked| asked.retain(|(it, _)| it != lacking))
            .await;
        let to = answer.redirects_to().unwrap();
        assert!(
            to.query().unwrap().contains("error=invalid_request"),
            "{lacking}"
        );
    }
    let answer = walk
        .authorize(|asked| replace(asked, "client_id", "another"))
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_code_is_good_once_and_the_client_must_prove_itself() {
    let mut walk = walk(|it| it);
    for (authorization, in_form, status) in [
        (Some(basic(CLIENT_SECRET)), &[][..], 200),
        (Some(basic("wrong")), &[], 401),
        (None, &[], 401),
        (
            None,
            &[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)],
            200,
        ),
        (
            Some(basic(CLIENT_SECRET)),
            &[("client_secret", CLIENT_SECRET)],
            401,
        ),
    ] {
        let code = field(&walk.back().await, "code").unwrap().to_owned();
        let mut form = owned(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ]);
        form.extend(owned(in_form));
        let answer = walk.token(&form, authorization.as_deref()).await;
        assert_eq!(answer.status, status, "{authorization:?} {in_form:?}");
        if status == 200 {
            let again = walk.token(&form, authorization.as_deref()).await;
            assert_eq!(again.json()["error"], "invalid_grant");
        }
    }
    let asked = walk.idp.token_requests();
    assert!(
        asked[0]
            .authorization
            .as_deref()
            .unwrap()
            .starts_with("Basic ")
    );
}

#[tokio::test]
async fn claims_and_header_lie_as_told_and_only_as_long() {
    let mut walk = walk(|it| it);
    walk.idp.lie(|it| {
        it.claim("aud", json!(["other", CLIENT_ID]));
        it.without_claim("nonce");
        it.header("kid", 7);
        it.header("typ", Value::Null);
        it.issued = -600;
    });
    let token = walk.id_token().await;
    let header: Value = serde_json::from_slice(&part(&token, 0)).unwrap();
    assert_eq!(header, json!({"alg": "RS256", "kid": 7}));
    let claims: Value = serde_json::from_slice(&part(&token, 1)).unwrap();
    assert_eq!(claims["aud"][0], "other");
    assert_eq!(claims.get("nonce"), None);
    assert_eq!(claims["iat"], json!(clock::START - 600));

    walk.idp.lie(|it| {
        it.payload(|claims| {
            let text = Value::Object(claims.clone()).to_string();
            text.replacen('{', r#"{"sub":"twice","#, 1)
        });
    });
    let text = String::from_utf8(part(&walk.id_token().await, 1)).unwrap();
    assert_eq!(text.matches(r#""sub":"#).count(), 2);

    walk.idp.tells_the_truth();
    walk.time.advance(std::time::Duration::from_secs(5));
    let claims = walk.claims().await;
    assert_eq!(
        (&claims["aud"], &claims["nonce"]),
        (&json!(CLIENT_ID), &json!("a nonce"))
    );
    assert_eq!(claims["iat"], json!(clock::START + 5));
}

#[tokio::test]
async fn no_false_signature_passes_for_a_true_one() {
    let mut walk = walk(|it| it);
    for (signature, algorithm) in [
        (Signature::Broken, "RS256"),
        (Signature::By(FOREIGN_KEY), "RS256"),
        (Signature::Rsa("RS384"), "RS384"),
        (Signature::Rsa("RS512"), "RS512"),
        (Signature::Rsa("PS256"), "PS256"),
        (Signature::HmacWithPublicKey, "HS256"),
    ] {
        walk.idp.lie(|it| it.signature = signature);
        let token = walk.id_token().await;
        let header: Value = serde_json::from_slice(&part(&token, 0)).unwrap();
        assert_eq!(header["alg"], algorithm);
        assert!(!walk.is_signed(&token).await, "{algorithm}");
    }
    walk.idp.lie(|it| it.signature = Signature::None);
    let token = walk.id_token().await;
    assert!(token.ends_with('.') && part(&token, 0).windows(6).any(|it| it == b"\"none\""));
    walk.idp.lie(|it| it.signature = Signature::default());
    let token = walk.id_token().await;
    assert!(walk.is_signed(&token).await);
}

#[tokio::test]
async fn an_hmac_lie_is_one_that_a_careless_library_takes() {
    let mut walk = walk(|it| it);
    walk.idp
        .lie(|it| it.signature = Signature::HmacWithPublicKey);
    let token = walk.id_token().await;
    let pem = keys::public_pem(0);
    let (_, read) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    assert!(SubjectPublicKeyInfo::from_der(&read.contents).is_ok());
    let mut rules = Validation::new(Algorithm::HS256);
    rules.validate_exp = false;
    rules.set_audience(&[CLIENT_ID]);
    let key = DecodingKey::from_secret(pem.as_bytes());
    assert!(jsonwebtoken::decode::<Value>(&token, &key, &rules).is_ok());
}

#[tokio::test]
async fn keys_are_published_as_told() {
    let mut walk = walk(|it| it);
    walk.idp.publishes(vec![
        PublishedKey::numbered(1),
        PublishedKey::numbered(0)
            .named("old")
            .member("use", "enc")
            .member("alg", Value::Null),
    ]);
    let keys = walk.key_set().await;
    assert_eq!(
        (&keys["keys"][0]["kid"], &keys["keys"][1]["kid"]),
        (&json!("key-1"), &json!("old"))
    );
    assert_eq!(
        (&keys["keys"][1]["use"], keys["keys"][1].get("alg")),
        (&json!("enc"), None)
    );
    let token = walk.id_token().await;
    assert!(walk.is_signed(&token).await);
}

#[tokio::test]
async fn a_person_is_sent_back_as_told() {
    let mut walk = walk(IssuerBuilder::announcing_issuer);
    let back = walk.back().await;
    assert_eq!(field(&back, "iss"), Some(walk.idp.issuer().as_str()));
    assert_eq!(field(&back, "state"), Some("a state"));
    let announced = &walk.metadata().await["authorization_response_iss_parameter_supported"];
    assert_eq!(announced, true);

    walk.idp.lie(|it| {
        it.authorization =
            Authorization::Error("access_denied".to_owned(), "AADSTS65004".to_owned());
        it.callback(|back| back.extend(owned(&[("state", "another")])));
    });
    let back = walk.back().await;
    assert_eq!(field(&back, "error"), Some("access_denied"));
    assert_eq!(field(&back, "error_description"), Some("AADSTS65004"));
    assert_eq!(back.iter().filter(|(name, _)| name == "state").count(), 2);

    walk.idp.lie(|it| it.authorization = Authorization::Keep);
    assert_eq!(walk.authorize(|_| ()).await.status, 200);
}

#[tokio::test]
async fn endpoints_answer_as_told() {
    let mut walk = walk(|it| it);
    let url = format!("{}/.well-known/openid-configuration", walk.idp.authority());
    let honest = walk.browser.get(&url).await;

    walk.idp
        .lie(|it| it.discovery = Reply::edited(|it| it["issuer"] = json!("https://evil")));
    assert_eq!(
        walk.browser.get(&url).await.json()["issuer"],
        "https://evil"
    );
    walk.idp
        .lie(|it| it.discovery = Reply::rewritten(|text| text[1..].to_owned()));
    assert_eq!(walk.browser.get(&url).await.text(), &honest.text()[1..]);
    walk.idp
        .lie(|it| it.discovery = Reply::Redirect("https://evil/".to_owned()));
    assert_eq!(
        walk.browser.get(&url).await.header("location"),
        Some("https://evil/")
    );
    walk.idp.lie(|it| it.discovery = Reply::Huge(1 << 20));
    assert_eq!(
        walk.browser.get(&url).await.body.len(),
        (1 << 20) + honest.body.len()
    );
    walk.idp
        .lie(|it| it.discovery = Reply::json(503, &json!({"a": 1})));
    let answer = walk.browser.get(&url).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, r#"{"a":1}"#));

    for (reply, what) in [
        (Reply::Hang, "hang"),
        (Reply::Stall, "stall"),
        (Reply::Close, "close"),
    ] {
        walk.idp.lie(|it| it.discovery = reply);
        let before = walk.idp.discovery_fetches();
        let request = Request::get(&url).body(Bytes::new()).unwrap();
        let asking = walk.browser.try_send(request);
        let idp = &walk.idp;
        let asked = crate::support::eventually("it was asked", || idp.discovery_fetches() > before);
        tokio::select! {
            answer = asking => assert!(what == "close" && answer.is_err(), "{what}: {answer:?}"),
            () = asked => {}
        }
    }
    walk.idp.tells_the_truth();
    walk.idp.lie(|it| it.keys = Reply::json(500, &json!({})));
    assert_eq!(walk.key_set().await, json!({}));
    walk.idp
        .lie(|it| it.token = Reply::json(400, &json!({"error": "invalid_grant"})));
    assert_eq!(walk.redeem(|_| ()).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn the_whole_provider_goes_down_and_comes_back() {
    let mut walk = walk(|it| it);
    walk.idp.go_down().await;
    let url = format!("http://{}/authorize", walk.idp.address());
    let request = Request::get(&url).body(Bytes::new()).unwrap();
    assert!(walk.browser.try_send(request).await.is_err());
    walk.idp.come_back();
    assert!(!walk.id_token().await.is_empty());
    assert!(walk.idp.connections() > 0);
}

#[tokio::test]
async fn the_session_is_ended_and_the_person_sent_on() {
    let mut walk = walk(|it| it);
    let endpoint = walk.metadata().await["end_session_endpoint"].clone();
    let to = "https://wiki.example/.vestibule/signed-out";
    let mut url = url::Url::parse(endpoint.as_str().unwrap()).unwrap();
    url.query_pairs_mut()
        .append_pair("post_logout_redirect_uri", to);
    let answer = walk.browser.view(url.as_str()).await;
    assert_eq!(answer.header("location"), Some(to));
    assert_eq!(walk.idp.logout_requests().len(), 1);
}
