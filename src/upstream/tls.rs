//! TLS towards an app: whom to trust, who to be, and what is wrong when there is no trust.
//!
//! The certificate check is rustls' own and nothing turns it off. What a fault says is for the
//! operator's log and names what to write; none of it is for a client. Source: RFC 9325, RFC 9110
//! 4.3.4.

use std::{fmt, io, path::PathBuf, sync::Arc};

use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage};
use rustls_pki_types::{ServerName, UnixTime};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::UpstreamError;
use crate::{
    clock::Timestamp,
    config::route::{Authority, ClientCertificate, UpstreamTls},
    secret::digest_of,
    trust::{self, NamedRoots, Trust, TrustError},
};

/// HTTP/1.1, as a client offers it in the handshake (RFC 7301).
pub const HTTP_1: &[u8] = b"http/1.1";

/// HTTP/2, in the same place (RFC 9113 3.2).
pub const HTTP_2: &[u8] = b"h2";

/// Files from which no TLS towards an app can be spoken.
#[derive(Debug, Error)]
pub enum AppTlsError {
    /// The certificate that is shown to the app cannot be read.
    #[error("failed to read the certificate for the app")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    /// Its key cannot be read.
    #[error("failed to read the private key for the app")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// Key and certificate are not for each other, or cannot be used.
    #[error("failed to use the private key with the certificate for the app")]
    Pair(#[source] rustls::Error),
    /// Nobody to trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl AppTlsError {
    /// The key of `[upstream]` that names the file at fault.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "client_cert_file",
            Self::Key(_) | Self::Pair(_) => "client_key_file",
            Self::Trust(_) => "ca_file",
        }
    }

    /// The file that is at fault, of those that `rules` name.
    #[must_use]
    pub fn file<'a>(&self, rules: &'a UpstreamTls) -> Option<&'a PathBuf> {
        let client = rules.client.as_ref();
        match self {
            Self::Certificate(_) => client.map(|client| &client.cert_file),
            Self::Key(_) | Self::Pair(_) => client.map(|client| &client.key_file),
            Self::Trust(_) => rules.ca_file.as_ref(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "give a readable PEM file, vestibule's own certificate first",
            Self::Key(_) => "give a readable PEM file with an unencrypted key",
            Self::Pair(_) => "put the key there that the certificate was made for",
            Self::Trust(_) => "give a readable PEM file with the certificates of authorities",
        }
    }
}

/// How TLS is spoken to one app: its files as they were read.
pub struct AppTls {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
    named: NamedRoots,
    digest: [u8; 32],
}

impl AppTls {
    /// Reads the files that `rules` name; without a `ca_file` the system's roots are trusted.
    ///
    /// `protocols` are offered in the handshake, the most welcome first.
    ///
    /// # Errors
    /// Returns [`AppTlsError`] if a file cannot be read or used.
    pub fn read(rules: &UpstreamTls, protocols: &[&[u8]]) -> Result<Self, AppTlsError> {
        let trust = match &rules.ca_file {
            Some(ca_file) => Trust::of_file(ca_file)?,
            None => Trust::of_system(),
        };
        let named = trust.named();
        let server_name = rules.server_name.clone();
        let mut parts = vec![
            named.bytes().to_vec(),
            server_name.clone().unwrap_or_default().into_bytes(),
            protocols.join(&b','),
        ];
        let client = trust.client(true)?;
        let mut config = match &rules.client {
            None => client.with_no_client_auth(),
            Some(ClientCertificate {
                cert_file,
                key_file,
            }) => {
                let chain = trust::certificates(cert_file).map_err(AppTlsError::Certificate)?;
                let key = trust::private_key(key_file).map_err(AppTlsError::Key)?;
                parts.push(digest_of(&[key.secret_der()]).to_vec());
                parts.extend(chain.iter().map(|certificate| certificate.to_vec()));
                let pair = client.with_client_auth_cert(chain, key);
                pair.map_err(AppTlsError::Pair)?
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
        Ok(Self {
            config: Arc::new(config),
            server_name,
            named,
            digest: digest_of(&parts),
        })
    }

    /// What tells it from one that trusts others or is somebody else: connections made by one are
    /// never used for the other.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether it trusts whom `other` trusts, as far as files say.
    #[must_use]
    pub fn trusts_as(&self, other: &Self) -> bool {
        self.named == other.named
    }

    /// The name to ask for and to verify at an address; `None` if no certificate can be for it.
    pub(super) fn name_at(&self, authority: &Authority) -> Option<ServerName<'static>> {
        let name = self.server_name.as_ref().unwrap_or(&authority.host);
        let bare = name.strip_prefix('[').unwrap_or(name);
        let bare = bare.strip_suffix(']').unwrap_or(bare);
        ServerName::try_from(bare.to_owned()).ok()
    }

    /// Speaks TLS on a new connection.
    pub(super) async fn speak(
        &self,
        name: &ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, UpstreamError> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let speaking = connector.connect(name.clone(), stream).await;
        speaking.map_err(|error| UpstreamError::Tls(TlsFault::of_io(error)))
    }
}

/// Neither keys nor roots.
impl fmt::Debug for AppTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Why there is no TLS with an app that could be trusted.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// The certificate is not valid any more.
    #[error("its certificate expired at {0}: have it renewed")]
    Expired(Timestamp),
    /// The handshake ended otherwise.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// What came was no TLS.
    #[error("it does not speak TLS at this address: write http:// in `to`, or another port")]
    NoTls,
    /// The certificate is not valid yet.
    #[error("its certificate is not valid before {0}: compare the clocks of both machines")]
    NotYetValid(Timestamp),
    /// The app does not like who we are.
    #[error(
        "it refused vestibule with the TLS alert {0:?}: if it wants a certificate, write \
         upstream.client_cert_file and client_key_file; if it has got one, it does not trust it"
    )]
    RefusedUs(AlertDescription),
    /// Nobody who is trusted has signed the certificate.
    #[error(
        "nobody who is trusted has signed its certificate: write the file with the certificate of \
         its authority as upstream.ca_file"
    )]
    UnknownIssuer,
    /// The app has no certificate for the name.
    #[error("it has no certificate for the name it was asked for: write upstream.server_name")]
    UnknownName,
    /// The certificate cannot be believed for another reason.
    #[error("its certificate is not to be believed")]
    Unfit(#[source] rustls::Error),
    /// The certificate is for somebody else.
    #[error(
        "its certificate is not for {wanted} but for {names}: write one of these names as \
         upstream.server_name, or have it issued for the other"
    )]
    WrongName {
        /// The name that was asked for.
        wanted: String,
        /// Those it is for.
        names: Names,
    },
}

/// The names of a certificate; as many as fit in a line.
#[derive(Debug)]
pub struct Names(Vec<String>);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        match self.0.as_slice() {
            [] => f.write_str("nobody"),
            names if names.len() <= MOST => f.write_str(&names.join(", ")),
            names => write!(f, "{}, ...", names[..MOST].join(", ")),
        }
    }
}

impl TlsFault {
    fn of_io(error: io::Error) -> Self {
        match Self::within(&error) {
            Some(fault) => fault,
            None => Self::Handshake(error),
        }
    }

    /// The fault of TLS that an error of the connection is, if it is one that says what to do.
    pub(super) fn within(error: &io::Error) -> Option<Self> {
        use rustls::Error as Tls;

        let error = error.get_ref()?.downcast_ref::<Tls>()?;
        Some(match error {
            Tls::InvalidCertificate(error) => Self::of_certificate(error),
            Tls::AlertReceived(AlertDescription::UnrecognisedName) => Self::UnknownName,
            Tls::AlertReceived(alert) if is_about_us(*alert) => Self::RefusedUs(*alert),
            Tls::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NoTls,
            _ => return None,
        })
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(at(*not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid(at(*not_before))
            }
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => Self::WrongName {
                wanted: expected.to_str().into_owned(),
                names: Names(presented.clone()),
            },
            // The latter where somebody else goes by the name of an authority that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            other => Self::Unfit(other.clone().into()),
        }
    }
}

/// Whether an alert says that the other side does not take who we are, or wants to know it.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

fn at(time: UnixTime) -> Timestamp {
    Timestamp::from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_a_certificate_of_many_names() {
        let names = |count: usize| Names((0..count).map(|it| format!("n{it}")).collect());
        assert_eq!(names(0).to_string(), "nobody");
        assert_eq!(names(2).to_string(), "n0, n1");
        assert!(names(1000).to_string().ends_with("n7, ..."));
    }

    #[test]
    fn an_error_that_is_none_of_tls_is_none() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(TlsFault::within(&refused).is_none());
        let other = io::Error::other(rustls::Error::HandshakeNotComplete);
        assert!(TlsFault::within(&other).is_none());
        let expired = CertificateError::ExpiredContext {
            time: UnixTime::since_unix_epoch(std::time::Duration::from_hours(24)),
            not_after: UnixTime::since_unix_epoch(std::time::Duration::ZERO),
        };
        let expired = io::Error::other(rustls::Error::InvalidCertificate(expired));
        let said = TlsFault::within(&expired).unwrap().to_string();
        assert_eq!(
            said,
            "its certificate expired at 1970-01-01T00:00:00Z: have it renewed"
        );
    }
}
