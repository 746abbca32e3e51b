//! The folder `vestibule demo` runs from: the same files an operator would write.
//!
//! Nothing that somebody else wrote is ever overwritten, and only the folder's owner can read what is written.

use std::{
    fs::DirBuilder,
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::secret::Secret;

use super::{certificate::IssuedCertificate, folder};

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

/// Writes everything into `folder`, which is made if need be; what a demo wrote there before goes.
///
/// # Errors
/// Returns why a folder or file could not be made. A folder that holds anything but a demo's files as
/// they were written is such a reason.
pub fn write(folder: &Path, settings: &FileSettings<'_>) -> io::Result<Files> {
    let config_dir = folder.join("config");
    let certificate = settings.certificate;
    let (main, wiki, orders) = (
        main_file(settings),
        wiki_file(settings),
        orders_file(settings),
    );
    let files = [
        ("config/vestibule.toml", main.as_str()),
        ("config/routes.d/wiki.toml", &wiki),
        ("config/routes.d/orders.toml", &orders),
        ("certs/demo.crt", &certificate.certificate_pem),
        ("certs/demo.key", certificate.key_pem.expose()),
        ("secrets/entra", settings.client_secret.expose()),
        ("demo-authority.pem", settings.authority_pem),
    ];
    make_folder(folder)?;
    folder::claim(folder, &files)?;
    for inner in ["config", "config/routes.d", "certs", "secrets"] {
        make_folder(&folder.join(inner))?;
    }
    for (name, text) in files {
        folder::write_new(&folder.join(name), text)?;
    }
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
        .map_err(|error| folder::named(&error, path))
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
    use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

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

    /// Every file below a folder, with its text.
    fn everything(folder: &Path) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(everything(&path));
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
        found
    }

    #[test]
    fn a_folder_that_holds_something_else_is_left_as_it_is() {
        for name in [
            "notes.txt",
            "config/vestibule.toml",
            ".hidden",
            "state/keys",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "mine").unwrap();
            let before = everything(folder.path());
            let refused = written(folder.path()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert!(refused.to_string().contains("is not empty"), "{refused}");
            assert_eq!(everything(folder.path()), before);
        }
    }

    #[test]
    fn a_folder_of_the_demos_own_is_written_anew_beside_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path()).unwrap();
        let before = everything(folder.path());
        fs::remove_file(folder.path().join("certs/demo.key")).unwrap();
        fs::write(folder.path().join("config/routes.d/mine.toml"), "mine").unwrap();
        written(folder.path()).unwrap();
        let mut after = everything(folder.path());
        let mine = after.remove(&folder.path().join("config/routes.d/mine.toml"));
        assert_eq!(mine.as_deref(), Some("mine"));
        assert_eq!(after, before);
    }

    #[test]
    fn a_file_that_was_changed_is_never_overwritten() {
        for name in [
            "config/vestibule.toml",
            "secrets/entra",
            "demo-authority.pem",
        ] {
            let folder = tempfile::tempdir().unwrap();
            written(folder.path()).unwrap();
            fs::write(folder.path().join(name), "mine").unwrap();
            let before = everything(folder.path());
            let refused = written(folder.path()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            let said = format!("{name} is not as the demo wrote it");
            assert!(refused.to_string().contains(&said), "{refused}");
            assert_eq!(everything(folder.path()), before);
        }
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(written(file.path()).is_err());
        assert_eq!(fs::read(file.path()).unwrap(), b"");
    }
}
