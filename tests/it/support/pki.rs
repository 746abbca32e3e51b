//! A certificate authority that lives as long as its test.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// A throw-away authority.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
}

/// A certificate for some host names with its private key, both PEM.
pub(crate) struct Leaf {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

/// Which protocols a client offers in the handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alpn {
    /// `h2` alone.
    H2,
    /// `http/1.1` alone.
    Http1,
    /// No extension at all.
    Silent,
}

/// A new authority that nobody else trusts.
pub(crate) fn fresh() -> Pki {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = valid_for_decades(&[]);
    params
        .distinguished_name
        .push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = params.self_signed(&key).unwrap();
    Pki {
        root: root.der().clone(),
        root_pem: root.pem(),
        issuer: Issuer::new(params, key),
    }
}

impl Pki {
    /// A P-256 certificate for these host names (or addresses).
    pub(crate) fn leaf(&self, hosts: &[&str]) -> Leaf {
        self.sign(valid_for_decades(hosts))
    }

    /// The same, but it expired in 2001.
    pub(crate) fn expired_leaf(&self, hosts: &[&str]) -> Leaf {
        let mut params = valid_for_decades(hosts);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(params)
    }

    /// A certificate by which a client says who it is.
    pub(crate) fn client_leaf(&self, name: &str) -> Leaf {
        self.sign_for(
            valid_for_decades(&[name]),
            ExtendedKeyUsagePurpose::ClientAuth,
        )
    }

    /// Whom somebody trusts who trusts this authority alone.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        roots
    }

    /// The authority's own certificate, for a `ca_file`.
    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// TLS for a client that trusts this authority and nobody else.
    pub(crate) fn client(&self, alpn: Alpn) -> Arc<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = match alpn {
            Alpn::H2 => vec![b"h2".to_vec()],
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Silent => Vec::new(),
        };
        Arc::new(config)
    }

    fn sign(&self, params: CertificateParams) -> Leaf {
        self.sign_for(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn sign_for(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Leaf {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Leaf {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Leaf {
    /// Writes `NAME.crt` and `NAME.key` (mode 0600) into `folder`; replaces what is there.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let cert_file = folder.join(format!("{name}.crt"));
        let key_file = folder.join(format!("{name}.key"));
        fs::write(&cert_file, &self.cert_pem).unwrap();
        write_private(&key_file, &self.key_pem);
        (cert_file, key_file)
    }

    /// TLS for a server of the tests that speaks `protocol` alone.
    pub(crate) fn server(&self, protocol: &[u8]) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

/// Writes a file that its owner alone can read.
pub(crate) fn write_private(file: &Path, text: &str) {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Far on both sides: the clients' libraries go by the system's time, the tests by another.
fn valid_for_decades(hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pair_is_written_with_a_private_key() {
        let folder = tempfile::tempdir().unwrap();
        let pki = fresh();
        let leaf = pki.leaf(&["wiki.example", "127.0.0.1"]);
        let (cert_file, key_file) = leaf.write(folder.path(), "wiki");
        assert_eq!(fs::read_to_string(cert_file).unwrap(), leaf.cert_pem);
        let mode = fs::metadata(&key_file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(leaf.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(pki.root_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[test]
    fn an_expired_pair_is_expired() {
        let pem = fresh().expired_leaf(&["wiki.example"]).cert_pem;
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let end = certificate.validity().not_after.timestamp();
        assert!(end < super::super::clock::START);
    }
}
