//! A throw-away certificate authority and the certificates it signs, for the demo and the tests.
//!
//! The authority's private key never leaves memory, and the authority may only speak for the names
//! it was made for (RFC 5280 4.2.1.10): whoever trusts it for the demo trusts it for nothing else.

use std::{net::IpAddr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use crate::{clock::Timestamp, secret::Secret};

/// Certificates begin a little before they are made, for clients whose clock lags.
const BEFORE: Duration = Duration::from_hours(1);
/// How long they are good for.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make a throw-away certificate")]
pub struct CertificateError(#[from] rcgen::Error);

/// A certificate authority that lives as long as this value.
pub struct ThrowAwayAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: Timestamp,
}

/// A certificate with its private key, ECDSA P-256, in PEM.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// The certificate alone; the authority is no part of the chain that is sent.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: Secret,
}

impl ThrowAwayAuthority {
    /// An authority that may speak for these names (each with all names below it) and addresses.
    ///
    /// # Errors
    /// Returns [`CertificateError`] if no key can be made or a name is not ASCII.
    pub fn new(names: &[&str], now: Timestamp) -> Result<Self, CertificateError> {
        let mut params = params("Vestibule demo authority (throw-away)", now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: names.iter().map(|name| subtree(name)).collect(),
            excluded_subtrees: Vec::new(),
        });
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        Ok(Self { issuer, now })
    }

    /// The authority's certificate in PEM: what a client has to trust.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for these host names and addresses, from an hour ago for 30 days.
    ///
    /// # Errors
    /// Returns [`CertificateError`] if no key can be made or a name is not ASCII.
    pub fn issue(&self, names: &[&str]) -> Result<IssuedCertificate, CertificateError> {
        let mut params = params("Vestibule demo (throw-away)", self.now);
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(IssuedCertificate {
            certificate_pem: certificate.pem(),
            key_pem: Secret::new(key.serialize_pem()),
        })
    }
}

fn params(common_name: &str, now: Timestamp) -> CertificateParams {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, common_name);
    let epoch = date_time_ymd(1970, 1, 1);
    let since_epoch = |instant: Timestamp| instant.since(Timestamp::from_unix_seconds(0));
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name;
    params.not_before = epoch + since_epoch(now.minus(BEFORE));
    params.not_after = epoch + since_epoch(now.plus(LIFETIME));
    params
}

fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(address @ IpAddr::V4(_)) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 32))
        }
        Ok(address @ IpAddr::V6(_)) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 128))
        }
        Err(_) => GeneralSubtree::DnsName(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
    use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn verify(
        authority: &ThrowAwayAuthority,
        issued: &IssuedCertificate,
        name: &str,
        at: Timestamp,
    ) -> Result<(), webpki::Error> {
        let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
        let leaf = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
        let anchor = anchor_from_trusted_cert(&root).unwrap();
        let leaf = EndEntityCert::try_from(&leaf).unwrap();
        let at = UnixTime::since_unix_epoch(at.since(Timestamp::from_unix_seconds(0)));
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            at,
            KeyUsage::server_auth(),
            None,
            None,
        )?;
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
    }

    #[test]
    fn an_issued_certificate_verifies_for_its_names_alone() {
        let authority = ThrowAwayAuthority::new(&["localhost", "127.0.0.1"], NOW).unwrap();
        let names = ["wiki.localhost", "localhost", "127.0.0.1"];
        let issued = authority.issue(&names).unwrap();
        for name in names {
            assert_eq!(verify(&authority, &issued, name, NOW), Ok(()), "{name}");
        }
        assert!(verify(&authority, &issued, "orders.localhost", NOW).is_err());
    }

    #[test]
    fn an_authority_speaks_for_no_name_it_was_not_made_for() {
        let authority = ThrowAwayAuthority::new(&["localhost", "127.0.0.1"], NOW).unwrap();
        for foreign in ["contoso.example", "127.0.0.2"] {
            let issued = authority.issue(&[foreign]).unwrap();
            assert!(
                matches!(
                    verify(&authority, &issued, foreign, NOW),
                    Err(webpki::Error::NameConstraintViolation)
                ),
                "{foreign}"
            );
        }
    }

    #[test]
    fn an_issued_certificate_is_valid_for_thirty_days() {
        let authority = ThrowAwayAuthority::new(&["localhost"], NOW).unwrap();
        let issued = authority.issue(&["localhost"]).unwrap();
        let valid_at = |at| verify(&authority, &issued, "localhost", at).is_ok();
        assert!(valid_at(NOW.minus(BEFORE)) && valid_at(NOW.plus(DAY * 30)));
        assert!(!valid_at(NOW.minus(BEFORE + DAY)) && !valid_at(NOW.plus(DAY * 31)));
    }

    #[test]
    fn a_private_key_is_not_printed() {
        let authority = ThrowAwayAuthority::new(&["localhost"], NOW).unwrap();
        let issued = authority.issue(&["localhost"]).unwrap();
        assert!(issued.key_pem.expose().contains("PRIVATE KEY"));
        assert!(!format!("{issued:?}").contains("PRIVATE KEY"));
    }
}
