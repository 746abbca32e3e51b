//! ID tokens, one fault at a time.

use openidconnect::{AccessToken, core::CoreJwsSigningAlgorithm as Algorithm};
use serde_json::{Value, json};

use super::{
    super::{
        id_token::{IdTokenError, Judge},
        jwks::KeyRing,
        provider::IssuerRule,
    },
    support::*,
};
use crate::{config::provider::Tenants, secret::Secret};

struct Bench {
    algorithms: Vec<Algorithm>,
    issuer: IssuerRule,
    cloud: Option<&'static str>,
    keys: KeyRing,
}

impl Bench {
    fn oidc() -> Self {
        Self {
            algorithms: vec![Algorithm::RsaSsaPkcs1V15Sha256],
            issuer: IssuerRule::Exact(ISSUER.to_owned()),
            cloud: None,
            keys: key_ring(&[rsa_jwk(0, "one")]),
        }
    }

    fn entra(issuer: &str, listed: &[&str]) -> Self {
        let tenants = match listed {
            [] => Tenants::Single,
            listed => Tenants::Listed(listed.iter().map(|&it| it.to_owned()).collect()),
        };
        Self {
            issuer: IssuerRule::Entra {
                issuer: issuer.to_owned(),
                tenants,
            },
            ..Self::oidc()
        }
    }

    fn judge(&self, token: &str) -> &'static str {
        let mut provider = provider(oidc(ISSUER));
        provider.algorithms.clone_from(&self.algorithms);
        let judge = Judge {
            provider: &provider,
            issuer: &self.issuer,
            cloud: self.cloud,
            keys: &self.keys,
            now: clock().clock().now(),
        };
        let access_token = AccessToken::new("at".to_owned());
        judge
            .verified_claims(token, &access_token, &Secret::new(NONCE.to_owned()))
            .map_or_else(IdTokenError::reason, |_| "accepted")
    }

    fn judge_claims(&self, changes: &Value) -> &'static str {
        self.judge(&token(&claims(changes)))
    }

    fn judge_header(&self, header: &Value) -> &'static str {
        let payload = claims(&json!({})).to_string();
        let how = header["alg"].as_str().unwrap_or("RS256").to_owned();
        self.judge(&sign_raw(&header.to_string(), &payload, &how, 0))
    }
}

#[test]
fn a_good_token_is_accepted() {
    // S-129 oidcc-client-test-idtoken-sig-rs256
    assert_eq!(Bench::oidc().judge_claims(&json!({})), "accepted");
}

#[test]
fn claims_of_another_shape_or_value_refuse_the_token() {
    let bench = Bench::oidc();
    for (changes, verdict) in [
        // S-122 oidcc-client-test-invalid-iss, S-168
        (json!({"iss": "https://evil.example"}), "wrong_issuer"),
        (json!({"iss": "https://issuer.example/"}), "wrong_issuer"),
        (json!({"iss": "https://ISSUER.example"}), "wrong_issuer"),
        (json!({"iss": "https://issuer.example:443"}), "wrong_issuer"),
        (json!({"iss": "https://issuer%2eexample"}), "wrong_issuer"),
        (json!({"iss": "http://issuer.example"}), "wrong_issuer"),
        (json!({"iss": [ISSUER]}), "malformed_claim"),
        (json!({"iss": "REMOVE"}), "malformed_claim"),
        // S-123 oidcc-client-test-missing-sub
        (json!({"sub": "REMOVE"}), "malformed_claim"),
        (json!({"sub": ""}), "malformed_claim"),
        (json!({"sub": 7}), "malformed_claim"),
        // S-124 oidcc-client-test-invalid-aud, S-125 -missing-aud, S-169
        (json!({"aud": "somebody else"}), "wrong_audience"),
        (json!({"aud": "REMOVE"}), "wrong_audience"),
        (json!({"aud": []}), "wrong_audience"),
        (json!({"aud": [CLIENT]}), "accepted"),
        (json!({"aud": [CLIENT, "somebody else"]}), "wrong_audience"),
        (json!({"aud": [CLIENT, CLIENT]}), "wrong_audience"),
        (
            json!({"aud": [CLIENT, "x"], "azp": CLIENT}),
            "wrong_audience",
        ),
        (json!({"azp": CLIENT}), "accepted"),
        (json!({"azp": "somebody else"}), "wrong_audience"),
        (json!({"azp": null}), "wrong_audience"),
        // S-126 oidcc-client-test-missing-iat, S-063, S-173
        (json!({"iat": "REMOVE"}), "malformed_claim"),
        (json!({"iat": NOW.to_string()}), "malformed_claim"),
        (json!({"iat": null}), "malformed_claim"),
        (json!({"iat": NOW + 60}), "accepted"),
        (json!({"iat": NOW + 61}), "issued_in_future"),
        (json!({"iat": NOW + 600}), "issued_in_future"),
        (json!({"iat": NOW - 360}), "accepted"),
        (json!({"iat": NOW - 361}), "issued_too_long_ago"),
        (json!({"iat": NOW - 86_400}), "issued_too_long_ago"),
        (json!({"iat": -1}), "malformed_claim"),
        (json!({"exp": "REMOVE"}), "malformed_claim"),
        (json!({"exp": "9999999999"}), "malformed_claim"),
        (json!({"exp": null}), "malformed_claim"),
        (json!({"exp": {}}), "malformed_claim"),
        (json!({"exp": []}), "malformed_claim"),
        (json!({"exp": true}), "malformed_claim"),
        (json!({"exp": 1e300}), "malformed_claim"),
        (json!({"exp": i64::MAX}), "malformed_claim"),
        (json!({"exp": u64::MAX}), "malformed_claim"),
        (json!({"exp": -1}), "malformed_claim"),
        (json!({"exp": 253_402_300_800_i64}), "malformed_claim"),
        (json!({"exp": 1_800_000_001.5}), "accepted"),
        (json!({"exp": 1_799_999_940.5}), "accepted"),
        (json!({"exp": NOW}), "accepted"),
        (json!({"exp": NOW - 59}), "accepted"),
        (json!({"exp": NOW - 60}), "expired_token"),
        (json!({"nbf": NOW + 60}), "accepted"),
        (json!({"nbf": NOW + 61}), "not_yet_valid"),
        (json!({"nbf": "1800000000"}), "malformed_claim"),
        (json!({"nbf": null}), "malformed_claim"),
        // S-135 oidcc-client-test-nonce-invalid, S-147, S-174
        (json!({"nonce": "another"}), "nonce_mismatch"),
        (json!({"nonce": "REMOVE"}), "nonce_mismatch"),
        (json!({"nonce": ""}), "nonce_mismatch"),
        (json!({"nonce": [NONCE]}), "nonce_mismatch"),
        // S-145: base64url of the left half of SHA-256("at")
        (json!({"at_hash": at_hash()}), "accepted"),
        (
            json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
            "at_hash_mismatch",
        ),
        (
            json!({"at_hash": format!("{}=", at_hash())}),
            "at_hash_mismatch",
        ),
        (json!({"at_hash": null}), "malformed_claim"),
        (json!({"at_hash": 7}), "malformed_token"),
        // One claim in two spellings
        (json!({"Sub": "root"}), "duplicate_claim"),
        (json!({"ISS": ISSUER}), "duplicate_claim"),
        (json!({"Nonce": NONCE}), "duplicate_claim"),
    ] {
        assert_eq!(bench.judge_claims(&changes), verdict, "{changes}");
    }
}

fn at_hash() -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"at");
    b64(&hash.as_ref()[..16])
}

#[test]
fn a_name_that_occurs_twice_refuses_the_token() {
    let bench = Bench::oidc();
    let payload = claims(&json!({})).to_string();
    let twice = payload.replacen('{', r#"{"sub":"root","#, 1);
    let nested = payload.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    let header = r#"{"alg":"RS256","kid":"one"}"#;
    for payload in [&twice, &nested, "[]", "\"x\"", "", "{"] {
        let token = sign_raw(header, payload, "RS256", 0);
        assert_eq!(bench.judge(&token), "malformed_token", "{payload}");
    }
    for header in [
        r#"{"alg":"none","alg":"RS256","kid":"one"}"#,
        r#"{"alg":"RS256","kid":"two","kid":"one"}"#,
        "{}x",
    ] {
        let token = sign_raw(header, &payload, "RS256", 0);
        assert_eq!(bench.judge(&token), "malformed_token", "{header}");
    }
}

#[test]
fn only_configured_algorithms_count() {
    // S-130 oidcc-client-test-idtoken-sig-none, S-170
    let bench = Bench::oidc();
    for algorithm in [
        "none", "None", "nOnE", "NONE", "", "HS256", "HS512", "rs256", "Rs256", "RS256 ", "RS512",
        "PS256", "ES256", "EdDSA", "RSA-OAEP", "A128KW",
    ] {
        let header = json!({"alg": algorithm, "kid": "one"});
        assert_eq!(
            bench.judge_header(&header),
            "algorithm_not_allowed",
            "{algorithm}"
        );
    }
    for header in [
        json!({"kid": "one"}),
        json!({"alg": null}),
        json!({"alg": ["RS256"]}),
    ] {
        assert_eq!(
            bench.judge_header(&header),
            "algorithm_not_allowed",
            "{header}"
        );
    }
    // Signed with HMAC under the public key, as a confused verifier would check it.
    let payload = claims(&json!({})).to_string();
    let token = sign_raw(r#"{"alg":"HS256","kid":"one"}"#, &payload, "RS256", 0);
    assert_eq!(bench.judge(&token), "algorithm_not_allowed");
}

#[test]
fn an_unsigned_token_is_refused_whatever_it_says() {
    // S-130, S-131 oidcc-client-test-invalid-sig-rs256
    let bench = Bench::oidc();
    let good = token(&claims(&json!({})));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let other = sign_raw(
        r#"{"alg":"RS256","kid":"one"}"#,
        &claims(&json!({})).to_string(),
        "RS256",
        1,
    );
    let flipped = {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[10] = if bytes[10] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let changed = good.replacen(
        &b64(claims(&json!({})).to_string()),
        &b64(claims(&json!({"sub": "root"})).to_string()),
        1,
    );
    for (token, verdict) in [
        (format!("{input}."), "invalid_signature"),
        (input.to_owned(), "malformed_token"),
        (format!("{input}.{flipped}"), "invalid_signature"),
        (format!("{input}.{}", &signature[..40]), "invalid_signature"),
        (changed, "invalid_signature"),
        (other, "invalid_signature"),
        (format!("{good}."), "malformed_token"),
        (format!("{good}.x.y"), "malformed_token"),
        (format!("{good}="), "malformed_token"),
        (format!(" {good}"), "malformed_token"),
        (format!("{good}\n"), "malformed_token"),
        (String::new(), "malformed_token"),
        ("..".to_owned(), "malformed_token"),
        ("a".repeat(64 * 1024 + 1), "malformed_token"),
    ] {
        assert_eq!(bench.judge(&token), verdict, "{token:.60}");
    }
}

#[test]
fn of_a_header_only_algorithm_and_key_id_have_a_say() {
    // S-171
    let bench = Bench::oidc();
    let header = |changes: &Value| with(json!({"alg": "RS256", "kid": "one"}), changes);
    for (changes, verdict) in [
        (json!({"typ": "JWT"}), "accepted"),
        (json!({"typ": "jwt"}), "accepted"),
        (json!({"typ": "at+jwt"}), "unacceptable_header"),
        (json!({"typ": "logout+jwt"}), "unacceptable_header"),
        (json!({"typ": 1}), "unacceptable_header"),
        (json!({"cty": "JWT"}), "unacceptable_header"),
        (json!({"crit": ["b64"], "b64": true}), "unacceptable_header"),
        (json!({"crit": []}), "unacceptable_header"),
        (json!({"b64": false}), "unacceptable_header"),
        (json!({"zip": "DEF"}), "unacceptable_header"),
        (json!({"enc": "A128GCM"}), "unacceptable_header"),
        (json!({"jwk": rsa_jwk(1, "one")}), "accepted"),
        (
            json!({"jku": "http://127.0.0.1:1/", "x5u": "x", "x5c": ["x"]}),
            "accepted",
        ),
        (json!({"kid": "../../x"}), "unknown_key"),
        (json!({"kid": "' OR 1=1 --"}), "unknown_key"),
        (json!({"kid": ""}), "unknown_key"),
        (json!({"kid": 1}), "unacceptable_header"),
        (json!({"kid": null}), "unacceptable_header"),
        (json!({"kid": "k".repeat(1024)}), "unknown_key"),
        (json!({"kid": "k".repeat(1025)}), "unacceptable_header"),
    ] {
        assert_eq!(bench.judge_header(&header(&changes)), verdict, "{changes}");
    }
    // The key in the header is no key, however well the token fits it.
    let header = json!({"alg": "RS256", "kid": "one", "jwk": rsa_jwk(1, "one")});
    let payload = claims(&json!({})).to_string();
    let token = sign_raw(&header.to_string(), &payload, "RS256", 1);
    assert_eq!(bench.judge(&token), "invalid_signature");
}

#[test]
fn without_a_key_id_exactly_one_key_may_fit() {
    let header = json!({"alg": "RS256"});
    let mut bench = Bench::oidc();
    // S-127 oidcc-client-test-kid-absent-single-jwks
    assert_eq!(bench.judge_header(&header), "accepted");
    bench.keys = key_ring(&[rsa_jwk(0, "one"), ec_jwk("two")]);
    assert_eq!(bench.judge_header(&header), "accepted");
    // S-128 oidcc-client-test-kid-absent-multiple-jwks
    bench.keys = key_ring(&[rsa_jwk(0, "one"), rsa_jwk(1, "two")]);
    assert_eq!(bench.judge_header(&header), "ambiguous_key");
    bench.keys = key_ring(&[ec_jwk("two")]);
    assert_eq!(bench.judge_header(&header), "unknown_key");
}

#[test]
fn other_algorithms_work_where_they_are_configured_and_fit_the_key() {
    let mut bench = Bench::oidc();
    bench.algorithms = vec![Algorithm::EcdsaP256Sha256, Algorithm::RsaSsaPssSha256];
    bench.keys = key_ring(&[rsa_jwk(0, "one"), ec_jwk("two")]);
    for (algorithm, kid, verdict) in [
        ("ES256", "two", "accepted"),
        ("PS256", "one", "accepted"),
        ("ES256", "one", "unfit_key"),
        ("PS256", "two", "unfit_key"),
        ("RS256", "one", "algorithm_not_allowed"),
    ] {
        let header = json!({"alg": algorithm, "kid": kid});
        assert_eq!(bench.judge_header(&header), verdict, "{header}");
    }
    // S-144 oidcc-client-test-invalid-sig-es256
    let payload = claims(&json!({})).to_string();
    let good = sign_raw(r#"{"alg":"ES256","kid":"two"}"#, &payload, "ES256", 0);
    let (input, _) = good.rsplit_once('.').unwrap();
    for signature in [b64([0; 64]), b64([1; 64]), b64([255; 64]), b64([1; 63])] {
        let token = format!("{input}.{signature}");
        assert_eq!(bench.judge(&token), "invalid_signature");
    }
}

const CLOUD: &str = "https://login.microsoftonline.com";

fn template() -> String {
    format!("{CLOUD}/{{tenantid}}/v2.0")
}

#[test]
fn the_tenant_of_a_token_is_pinned() {
    // S-195, S-196
    let single = Bench::entra(&format!("{CLOUD}/{TENANT}/v2.0"), &[]);
    let listed = Bench::entra(&template(), &[TENANT]);
    let foreign = format!("{CLOUD}/{OTHER_TENANT}/v2.0");
    for (changes, of_single, of_listed) in [
        (json!({}), "accepted", "accepted"),
        (
            json!({"iss": foreign, "tid": OTHER_TENANT}),
            "wrong_issuer",
            "tenant_not_allowed",
        ),
        (
            json!({"tid": OTHER_TENANT}),
            "wrong_issuer",
            "tenant_not_allowed",
        ),
        (json!({"iss": foreign}), "wrong_issuer", "wrong_issuer"),
        (
            json!({"tid": "REMOVE"}),
            "malformed_claim",
            "malformed_claim",
        ),
        (
            json!({"tid": "common"}),
            "malformed_claim",
            "malformed_claim",
        ),
        (
            json!({"tid": [TENANT]}),
            "malformed_claim",
            "malformed_claim",
        ),
        (
            json!({"tid": TENANT.to_uppercase()}),
            "wrong_issuer",
            "wrong_issuer",
        ),
        (json!({"iss": template()}), "wrong_issuer", "wrong_issuer"),
        (
            json!({"iss": format!("{CLOUD}/{TENANT}/v2.0/")}),
            "wrong_issuer",
            "wrong_issuer",
        ),
        (
            json!({"iss": format!("https://sts.windows.net/{TENANT}/")}),
            "wrong_issuer",
            "wrong_issuer",
        ),
        (json!({"ver": "1.0"}), "malformed_claim", "malformed_claim"),
        (json!({"ver": 2.0}), "malformed_claim", "malformed_claim"),
        (
            json!({"ver": "REMOVE"}),
            "malformed_claim",
            "malformed_claim",
        ),
        (
            json!({"Tid": OTHER_TENANT}),
            "duplicate_claim",
            "duplicate_claim",
        ),
        (json!({"OID": OBJECT}), "duplicate_claim", "duplicate_claim"),
    ] {
        let token = token(&entra_claims(CLOUD, &changes));
        assert_eq!(single.judge(&token), of_single, "single {changes}");
        assert_eq!(listed.judge(&token), of_listed, "listed {changes}");
    }
    // A list beside a concrete issuer does not open the issuer to others.
    let both = Bench::entra(&format!("{CLOUD}/{TENANT}/v2.0"), &[TENANT, OTHER_TENANT]);
    let other = entra_claims(CLOUD, &json!({"iss": foreign, "tid": OTHER_TENANT}));
    assert_eq!(both.judge(&token(&other)), "wrong_issuer");
}

#[test]
fn a_key_signs_for_its_own_issuer_only() {
    // S-197
    let token = token(&entra_claims(CLOUD, &json!({})));
    let mut bench = Bench::entra(&template(), &[TENANT]);
    bench.cloud = Some("microsoftonline.com");
    for (changes, verdict) in [
        (json!({}), "accepted"),
        (json!({"issuer": template()}), "accepted"),
        (
            json!({"issuer": format!("{CLOUD}/{TENANT}/v2.0")}),
            "accepted",
        ),
        (
            json!({"issuer": format!("{CLOUD}/{OTHER_TENANT}/v2.0")}),
            "foreign_key",
        ),
        (
            json!({"issuer": "https://evil.example/{tenantid}/v2.0"}),
            "foreign_key",
        ),
        (json!({"issuer": ""}), "foreign_key"),
        (
            json!({"cloud_instance_name": "microsoftonline.com"}),
            "accepted",
        ),
        (
            json!({"cloud_instance_name": "microsoftonline.us"}),
            "foreign_key",
        ),
    ] {
        bench.keys = key_ring(&[with(rsa_jwk(0, "one"), &changes)]);
        assert_eq!(bench.judge(&token), verdict, "{changes}");
    }
}

#[test]
fn no_error_quotes_a_token() {
    // S-009
    let token = token(&claims(&json!({"nonce": "hunter2", "iss": "hunter2"})));
    for error in [
        IdTokenError::Issuer,
        IdTokenError::Nonce,
        IdTokenError::Malformed("payload"),
    ] {
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert_eq!(Bench::oidc().judge(&token), "wrong_issuer");
}

proptest::proptest! {
    #[test]
    fn no_token_makes_the_judge_panic(
        token in "[A-Za-z0-9_.-]{0,200}",
        name in "[a-z_#]{1,12}",
        value in "(-?[0-9]{1,25}(\\.[0-9]{1,5})?|\"[^\"\\\\]{0,9}\"|\\[\\]|\\{\\}|null|true)",
    ) {
        let bench = Bench::oidc();
        bench.judge(&token);
        let usual = claims(&json!({})).to_string();
        let payload = usual.replacen('{', &format!("{{\"{name}\":{value},"), 1);
        let header = r#"{"alg":"RS256","kid":"one"}"#;
        bench.judge(&sign_raw(header, &payload, "RS256", 0));
    }
}
