//! The folder `vestibule demo` runs from: the same files an operator would write.
//!
//! Nothing that exists is ever overwritten, and only the folder's owner can read what is written.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::secret::Secret;

use super::certificate::IssuedCertificate;

/// What has to be known before the files can be written.
#[derive(Debug)]
pub struct FileSettings<'a> {
    /// The loopback port vestibule will serve on; part of both public addresses.
    pub port: u16,
    /// `http://localhost:<port>/<tenant>/v2.0`.
    pub authority: &'a str,
    /// The client id at that tenant.
    pub client_id: &'a str,
    /// Its secret.
    pub client_secret: &'a Secret,
    /// Where the wiki is.
    pub wiki: SocketAddr,
    /// Where the order entry is.
    pub orders: SocketAddr,
    /// What vestibule serves with.
    pub certificate: &'a IssuedCertificate,
    /// The certificate of the authority behind it, in PEM: for browsers to trust, not served.
    pub authority_pem: &'a str,
}

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder to hand to `--config`.
    pub config_dir: PathBuf,
    /// The certificate of the throw-away authority.
    pub authority_file: PathBuf,
}

/// Writes everything into `folder`, which is made if need be.
///
/// # Errors
/// Returns why a folder or file could not be made; a file that exists already is such a reason.
pub fn write(folder: &Path, settings: &FileSettings<'_>) -> io::Result<Files> {
    make_folder(folder)?;
    let config_dir = folder.join("config");
    for inner in ["config", "config/routes.d", "certs", "secrets"] {
        make_folder(&folder.join(inner))?;
    }
    let write = |name: &str, text: &str| write_new(&folder.join(name), text);
    write("config/vestibule.toml", &main_file(settings))?;
    write("config/routes.d/wiki.toml", &wiki_file(settings))?;
    write("config/routes.d/orders.toml", &orders_file(settings))?;
    write("certs/demo.crt", &settings.certificate.certificate_pem)?;
    write("certs/demo.key", settings.certificate.key_pem.expose())?;
    write("secrets/entra", settings.client_secret.expose())?;
    write("demo-authority.pem", settings.authority_pem)?;
    Ok(Files {
        config_dir,
        authority_file: folder.join("demo-authority.pem"),
    })
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| named(&error, path))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| named(&error, path))
}

/// The operating system's errors do not say which file they are about.
fn named(error: &io::Error, path: &Path) -> io::Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        let path = path.display();
        let text = format!("{path} is there already: name a folder that is empty or not there");
        return io::Error::new(error.kind(), text);
    }
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

// Every value below is a number, an address or a GUID: nothing that TOML would want escaped.

fn main_file(settings: &FileSettings<'_>) -> String {
    let FileSettings {
        port,
        authority,
        client_id,
        ..
    } = settings;
    format!(
        r#"# The demo's main file. Relative paths are taken from the folder above this one.

[listen]
https = "127.0.0.1:{port}"
hsts  = "off"                           # a demo makes browsers no promises for tomorrow

[entra]
endpoint  = "{authority}"
client_id = "{client_id}"
client_secret_file = "secrets/entra"

[log]
access = "text"
"#
    )
}

fn wiki_file(settings: &FileSettings<'_>) -> String {
    let FileSettings { port, wiki, .. } = settings;
    format!(
        r#"title  = "Wiki"
from   = "https://wiki.localhost:{port}"
to     = "http://{wiki}"
allow  = "signed-in"
guests = "allow"

[[public]]                              # no sign-in, no identity
path = "/health"

[[public]]
path = "/static/*"

[identity.headers]                      # replaces the default set
X-Remote-User = "{{user}}"
X-Remote-Name = "{{name}}"
"#
    )
}

fn orders_file(settings: &FileSettings<'_>) -> String {
    let FileSettings { port, orders, .. } = settings;
    format!(
        r#"title = "Orders"
from  = "https://orders.localhost:{port}"
to    = "http://{orders}"

[allow]                                 # any of these lets in
roles = ["Erp.User"]

[help]
contact = "it-help@contoso.example"
text    = "The order desk gives out the role Erp.User."
"#
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use toml::Table;

    use super::*;

    fn written(folder: &Path) -> io::Result<Files> {
        let certificate = IssuedCertificate {
            certificate_pem: "certificate".to_owned(),
            key_pem: Secret::new("key".to_owned()),
        };
        let settings = FileSettings {
            port: 8443,
            authority: "http://localhost:9000/tenant/v2.0",
            client_id: "client",
            client_secret: &Secret::new("secret".to_owned()),
            wiki: SocketAddr::from(([127, 0, 0, 1], 9001)),
            orders: SocketAddr::from(([127, 0, 0, 1], 9002)),
            certificate: &certificate,
            authority_pem: "authority",
        };
        write(folder, &settings)
    }

    fn read(folder: &Path, name: &str) -> Table {
        fs::read_to_string(folder.join(name))
            .unwrap()
            .parse()
            .unwrap()
    }

    #[test]
    fn the_files_say_where_everything_is() {
        let folder = tempfile::tempdir().unwrap();
        let files = written(folder.path()).unwrap();
        assert_eq!(files.config_dir, folder.path().join("config"));
        let main = read(folder.path(), "config/vestibule.toml");
        assert_eq!(main["listen"]["https"].as_str(), Some("127.0.0.1:8443"));
        assert_eq!(
            main["entra"]["endpoint"].as_str(),
            Some("http://localhost:9000/tenant/v2.0")
        );
        let wiki = read(folder.path(), "config/routes.d/wiki.toml");
        assert_eq!(wiki["from"].as_str(), Some("https://wiki.localhost:8443"));
        assert_eq!(wiki["to"].as_str(), Some("http://127.0.0.1:9001"));
        assert_eq!(
            wiki["identity"]["headers"]["X-Remote-User"].as_str(),
            Some("{user}")
        );
        let orders = read(folder.path(), "config/routes.d/orders.toml");
        assert_eq!(orders["allow"]["roles"][0].as_str(), Some("Erp.User"));
        let secret = main["entra"]["client_secret_file"].as_str().unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(secret)).unwrap(),
            "secret"
        );
    }

    #[test]
    fn only_the_owner_can_read_what_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("demo");
        written(&folder).unwrap();
        let mode = |name: &str| {
            fs::metadata(folder.join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        for name in ["", "certs", "secrets", "config"] {
            assert_eq!(mode(name), 0o700, "{name}");
        }
        for name in ["secrets/entra", "certs/demo.key"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
    }

    #[test]
    fn nothing_that_exists_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        fs::write(folder.path().join("config/vestibule.toml"), "mine").unwrap();
        let refused = written(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(refused.to_string().contains("vestibule.toml"), "{refused}");
        let kept = fs::read_to_string(folder.path().join("config/vestibule.toml")).unwrap();
        assert_eq!(kept, "mine");
    }
}
