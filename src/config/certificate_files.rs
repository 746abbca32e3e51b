//! Which certificate pairs there are: those `[tls] certificates` lists, or every `NAME.crt` with its
//! `NAME.key` in `certs/`.
//!
//! Only finds the files; what is in them is read by the listener. Never opens a key.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    document::Document,
    finding::{Finding, Place},
    listener::{CertificatePair, TlsFiles},
    schema::RawTls,
    spans::KeyPath,
    values::{Fault, FilePath, Of},
    watch::{Sources, listed},
};

const FOLDER: &str = "certs";
const CERTIFICATE: &str = "crt";
const KEY: &str = "key";

/// The pairs to serve with; everything wrong with them is a finding.
pub(super) fn resolve(
    document: &Document,
    raw: &RawTls,
    base: &Path,
    findings: &mut Vec<Finding>,
) -> TlsFiles {
    let certificates = KeyPath::of(&["tls", "certificates"]);
    let pairs = match &raw.certificates {
        Some(listed) => {
            let mut pairs = Vec::with_capacity(listed.len());
            for (index, pair) in listed.iter().enumerate() {
                let path = certificates.index(index);
                let file = |file: &Option<Of<FilePath>>| file.as_ref().map(|of| base.join(&of.0.0));
                let (cert_file, key_file) = (file(&pair.cert_file), file(&pair.key_file));
                let mut are_there = true;
                for (key, file) in [("cert_file", &cert_file), ("key_file", &key_file)] {
                    if let Some(Err(fault)) = file.as_deref().map(is_there) {
                        findings.push(document.error(&path.key(key), fault));
                        are_there = false;
                    }
                }
                let (Some(cert_file), Some(key_file), true) = (cert_file, key_file, are_there)
                else {
                    continue;
                };
                let place = document.place(&path);
                pairs.push(CertificatePair {
                    cert_file,
                    key_file,
                    place,
                });
            }
            pairs
        }
        None if document.is_faulty(&certificates) => Vec::new(),
        None => in_folder(&base.join(FOLDER), findings),
    };
    for pair in &pairs {
        if is_world_readable(&pair.key_file) {
            let message = "everybody on this machine can read the private key";
            let place = Place::file(&pair.key_file);
            findings.push(Finding::warning(place, message, "chmod o-r"));
        }
    }
    TlsFiles { pairs }
}

/// The files that [`resolve`] would look for.
pub(super) fn sources(raw: &RawTls, base: &Path, sources: &mut Sources) {
    match &raw.certificates {
        Some(listed) => {
            let files = listed.iter().flat_map(|it| [&it.cert_file, &it.key_file]);
            for Of(file) in files.flatten() {
                sources.file(base.join(&file.0));
            }
        }
        None => sources.folder(base.join(FOLDER), &[CERTIFICATE, KEY]),
    }
}

/// Whether everybody on this machine may read the file; false where that cannot be told.
#[cfg(unix)]
pub(super) fn is_world_readable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Whether everybody on this machine may read the file; false where that cannot be told.
#[cfg(not(unix))]
pub(super) fn is_world_readable(_: &Path) -> bool {
    false
}

/// Whether there is a file of this name.
///
/// # Errors
/// Returns what to say if there is none.
pub(super) fn is_there(file: &Path) -> Result<(), Fault> {
    let remedy = "write the path of a file; a relative one is taken from the folder that holds the \
                  config folder";
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(Fault::new(
            format!("{} is not a file", file.display()),
            remedy,
        )),
        Err(error) => Err(Fault::new(
            format!("{} cannot be read: {}", file.display(), reason(&error)),
            remedy,
        )),
    }
}

/// Why the system refused, in words that do not change between systems.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        kind => kind.to_string(),
    }
}

fn in_folder(folder: &Path, findings: &mut Vec<Finding>) -> Vec<CertificatePair> {
    const REMEDY: &str = "put NAME.crt and NAME.key there, or list the files in [tls] certificates";
    let found = match listed(folder, &[CERTIFICATE, KEY]) {
        Ok(found) => found,
        Err(error) => {
            let message = format!("cannot look for certificates: {}", reason(&error));
            findings.push(Finding::error(Place::file(folder), message, REMEDY));
            return Vec::new();
        }
    };
    let named = halves(&found);
    let mut pairs = Vec::new();
    let mut any_dangles = false;
    for (cert_name, (cert, key)) in named {
        match (cert, key) {
            (Some(cert_file), Some(key_file)) => {
                let mut are_there = true;
                for file in [&cert_file, &key_file] {
                    if let Err(fault) = is_there(file) {
                        findings.push(Finding::error(Place::file(file), fault.message, REMEDY));
                        are_there = false;
                    }
                }
                any_dangles |= !are_there;
                if are_there {
                    pairs.push(CertificatePair {
                        place: Place::file(&cert_file),
                        cert_file,
                        key_file,
                    });
                }
            }
            (Some(cert), None) => findings.push(Finding::error(
                Place::file(cert),
                "the certificate has no key of the same name beside it",
                REMEDY,
            )),
            (_, key) => findings.push(Finding::error(
                Place::file(key.unwrap_or_else(|| folder.join(cert_name))),
                "the key has no certificate of the same name beside it",
                REMEDY,
            )),
        }
    }
    if pairs.is_empty() && !any_dangles {
        findings.push(Finding::error(
            Place::file(folder),
            "there is no certificate with its key",
            REMEDY,
        ));
    }
    pairs
}

/// Certificates and keys by the file name of the certificate.
fn halves(found: &[PathBuf]) -> BTreeMap<OsString, (Option<PathBuf>, Option<PathBuf>)> {
    let mut named: BTreeMap<OsString, (Option<PathBuf>, Option<PathBuf>)> = BTreeMap::new();
    for path in found {
        let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else {
            continue;
        };
        let mut name = stem.to_owned();
        name.push(".");
        name.push(CERTIFICATE);
        if extension == CERTIFICATE {
            named.entry(name).or_default().0 = Some(path.clone());
        } else if extension == KEY {
            named.entry(name).or_default().1 = Some(path.clone());
        }
    }
    named
}
