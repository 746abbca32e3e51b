//! The demo as a whole: everything around vestibule, which the caller puts in front.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use http::HeaderName;

use crate::{
    clock::Clock,
    secret::{Secret, random_bytes},
};

use super::{
    apps::{App, AppSettings},
    certificate::{CertificateError, ThrowAwayAuthority},
    files::{self, FileSettings, Files},
    introduction::Introduction,
    tenant::{Client, Tenant, TenantSettings},
};

/// The port the demo would like to have.
pub const DEFAULT_PORT: u16 = 8443;

const CLIENT_ID: &str = "5d0c2f7a-61e4-4b9d-93a8-e7f0b4c1d265";
const NAMES: [&str; 4] = [
    "wiki.localhost",
    "orders.localhost",
    "localhost",
    "127.0.0.1",
];

/// How the demo is started.
#[derive(Clone, Debug)]
pub struct DemoSettings {
    /// Where to write the files; stays when the demo ends. A new temporary folder if absent.
    pub folder: Option<PathBuf>,
    /// The port vestibule shall have; another one if it is taken, any free one if 0.
    pub port: u16,
    /// The time.
    pub clock: Clock,
}

/// Why the demo could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No certificate.
    #[error("failed to make the demo's certificate")]
    Certificate(#[from] CertificateError),
    /// No files.
    #[error("failed to write the demo's files")]
    Files(#[source] io::Error),
    /// No port, or one of the parts did not start.
    #[error("failed to start the demo's {part}")]
    Start {
        /// Which one.
        part: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// What vestibule has to listen on.
    pub vestibule: SocketAddr,
    /// The wiki as people open it: `https://wiki.localhost:<port>`, no slash at the end.
    pub wiki: String,
    /// The order entry as people open it: `https://orders.localhost:<port>`.
    pub orders: String,
    /// The wiki itself, behind vestibule.
    pub wiki_app: SocketAddr,
    /// The order entry itself, behind vestibule.
    pub orders_app: SocketAddr,
}

/// A running tenant, two running apps and the configuration for a vestibule in front of them.
#[derive(Debug)]
pub struct Demo {
    tenant: Tenant,
    wiki: App,
    orders: App,
    addresses: Addresses,
    folder: Folder,
    files: Files,
    taken_port: Option<u16>,
}

impl Demo {
    /// Starts the tenant and the apps and writes the files. Vestibule is the caller's to start.
    ///
    /// # Errors
    /// Returns [`DemoError`] if a part cannot be started or a file cannot be written; what had been
    /// started by then ends.
    pub async fn prepare(settings: DemoSettings) -> Result<Self, DemoError> {
        let start = |part| move |source| DemoError::Start { part, source };
        let port = free_port(settings.port).map_err(start("gateway"))?;
        let taken_port = (settings.port != 0 && settings.port != port).then_some(settings.port);
        let wiki = App::wiki(AppSettings {
            name_header: Some(HeaderName::from_static("x-remote-name")),
            ..AppSettings::new(HeaderName::from_static("x-remote-user"))
        });
        let wiki = wiki.await.map_err(start("wiki"))?;
        let orders = AppSettings::new(HeaderName::from_static("x-forwarded-user"));
        let orders = App::orders(orders).await.map_err(start("order entry"))?;
        let addresses = Addresses {
            vestibule: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            wiki: format!("https://wiki.localhost:{port}"),
            orders: format!("https://orders.localhost:{port}"),
            wiki_app: wiki.address(),
            orders_app: orders.address(),
        };
        let client = registration(&addresses);
        let tenant = Tenant::start(TenantSettings {
            clients: vec![client.clone()],
            ..TenantSettings::new(settings.clock.clone())
        });
        let tenant = tenant.await.map_err(start("tenant"))?;
        let authority =
            ThrowAwayAuthority::new(&["localhost", "127.0.0.1"], settings.clock.now().wall)?;
        let folder = Folder::choose(settings.folder);
        let files = files::write(
            folder.path(),
            &FileSettings {
                port,
                authority: &tenant.authority(),
                client_id: &client.client_id,
                client_secret: &client.secret,
                wiki: addresses.wiki_app,
                orders: addresses.orders_app,
                certificate: &authority.issue(&NAMES)?,
                authority_pem: &authority.certificate_pem(),
            },
        )
        .map_err(DemoError::Files)?;
        Ok(Self {
            tenant,
            wiki,
            orders,
            addresses,
            folder,
            files,
            taken_port,
        })
    }

    /// The folder to start vestibule with, as `--config` names it.
    #[must_use]
    pub fn config_dir(&self) -> &Path {
        &self.files.config_dir
    }

    /// The certificate a client has to trust, in PEM.
    #[must_use]
    pub fn authority_file(&self) -> &Path {
        &self.files.authority_file
    }

    /// Where everything is.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The tenant with its switches.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// What to tell the person who started the demo; ends with a line break.
    #[must_use]
    pub fn introduction(&self) -> String {
        let introduction = Introduction {
            addresses: &self.addresses,
            folder: self.folder.path(),
            authority_file: &self.files.authority_file,
            temporary: matches!(self.folder, Folder::Temporary(_)),
            taken_port: self.taken_port,
        };
        introduction.to_string()
    }

    /// Ends everything, waits for it, and removes the folder unless it was given.
    pub async fn stop(self) {
        tokio::join!(self.tenant.stop(), self.wiki.stop(), self.orders.stop());
    }
}

/// One registration for both apps, as one vestibule in front of them has.
fn registration(addresses: &Addresses) -> Client {
    let both = [&addresses.wiki, &addresses.orders];
    let redirect_uris = both
        .iter()
        .flat_map(|origin| {
            ["callback", "signed-out"].map(|page| format!("{origin}/.vestibule/{page}"))
        })
        .collect();
    Client {
        client_id: CLIENT_ID.to_owned(),
        secret: Secret::random(),
        redirect_uris,
        front_channel_logout_uri: Some(format!(
            "{}/.vestibule/frontchannel-logout",
            addresses.wiki
        )),
    }
}

/// The port asked for if nobody has it, else one the system chooses.
fn free_port(wanted: u16) -> io::Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match bind(wanted) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bind(0)?,
        bound => bound?,
    };
    Ok(listener.local_addr()?.port())
}

#[derive(Debug)]
enum Folder {
    Given(PathBuf),
    /// Removed when it is let go of, also after a failure.
    Temporary(PathBuf),
}

impl Folder {
    fn choose(given: Option<PathBuf>) -> Self {
        given.map_or_else(
            || {
                let unique = u64::from_be_bytes(random_bytes());
                let name = format!("vestibule-demo-{unique:016x}");
                Self::Temporary(std::env::temp_dir().join(name))
            },
            Self::Given,
        )
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Temporary(path) => path,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self
            && let Err(error) = fs::remove_dir_all(&*path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "failed to remove the demo's folder");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::client::Client as Browser;

    fn settings(port: u16) -> DemoSettings {
        DemoSettings {
            folder: None,
            port,
            clock: Clock::system(),
        }
    }

    #[tokio::test]
    async fn a_demo_runs_until_it_is_stopped_and_leaves_nothing_behind() {
        let demo = Demo::prepare(settings(0)).await.unwrap();
        let config_dir = demo.config_dir().to_owned();
        assert!(config_dir.join("routes.d/orders.toml").is_file());
        let addresses = demo.addresses().clone();
        for address in [addresses.wiki_app, addresses.orders_app] {
            assert!(Browser::of(address).get("/").await.status.is_success());
        }
        let introduction = demo.introduction();
        for told in [&addresses.wiki, &addresses.orders] {
            assert!(introduction.contains(told), "{introduction}");
        }
        demo.stop().await;
        assert!(!config_dir.parent().unwrap().exists());
        assert!(
            tokio::net::TcpStream::connect(addresses.wiki_app)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_given_folder_stays_and_can_be_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let given = DemoSettings {
            folder: Some(folder.path().to_owned()),
            ..settings(0)
        };
        let demo = Demo::prepare(given.clone()).await.unwrap();
        demo.stop().await;
        assert!(folder.path().join("config/vestibule.toml").is_file());
        let written = folder.path().join("config/routes.d/wiki.toml");
        let before = fs::read_to_string(&written).unwrap();
        let demo = Demo::prepare(given.clone()).await.unwrap();
        let anew = fs::read_to_string(&written).unwrap();
        assert_ne!(anew, before, "every demo has ports of its own");
        demo.stop().await;
        fs::write(&written, "mine").unwrap();
        assert!(matches!(
            Demo::prepare(given).await,
            Err(DemoError::Files(_))
        ));
        assert_eq!(fs::read_to_string(&written).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_taken_port_is_replaced_and_that_is_said() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let demo = Demo::prepare(settings(port)).await.unwrap();
        assert_ne!(demo.addresses().vestibule.port(), port);
        let said = format!("Port {port} is taken");
        assert!(demo.introduction().contains(&said));
        demo.stop().await;
    }

    #[tokio::test]
    async fn the_written_address_is_registered_at_the_tenant() {
        let demo = Demo::prepare(settings(0)).await.unwrap();
        let callback = format!("{}/.vestibule/callback", demo.addresses().orders);
        let query = crate::demo::client::encoded(&[
            ("client_id", CLIENT_ID),
            ("redirect_uri", &callback),
            ("response_type", "code"),
            ("scope", "openid"),
            ("prompt", "none"),
        ]);
        let tenant = crate::demo::tenant::DEFAULT_TENANT_ID;
        let path = format!("/{tenant}/oauth2/v2.0/authorize?{query}");
        let back = Browser::of(demo.tenant().address()).get(&path).await;
        assert!(back.location().as_str().starts_with(&callback));
        demo.stop().await;
    }
}
