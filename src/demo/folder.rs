//! Which folder the demo may write into: a new or empty one, or one of its own from before.
//!
//! A list in the folder says which files the demo wrote, and their digests. Never removes or replaces
//! anything else, nor a file of its own that somebody has changed since.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::digest::{SHA256, digest};

/// The list of the files that the demo wrote; one line each, digest and name.
const LIST: &str = ".vestibule-demo";

/// Makes room for files of these names and texts, and writes down that they are the demo's.
///
/// # Errors
/// Returns why nothing can be written into this folder; then nothing was removed from it.
pub(super) fn claim(folder: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    let before = written_before(folder)?;
    let mut old = Vec::new();
    for (name, _) in files {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(bytes) if before.get(*name) == Some(&hex(&bytes)) => old.push(path),
            Ok(_) => {
                let path = path.display();
                return Err(refused(format!(
                    "{path} is not as the demo wrote it: move it away, or name a folder that is empty or \
                     not there"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(&error, &path)),
        }
    }
    let list = folder.join(LIST);
    if !before.is_empty() {
        old.push(list.clone());
    }
    for path in old {
        fs::remove_file(&path).map_err(|error| named(&error, &path))?;
    }
    let mut lines = String::new();
    for (name, text) in files {
        let _ = writeln!(lines, "{}  {name}", hex(text.as_bytes()));
    }
    write_new(&list, &lines)
}

/// Writes a file that is not there yet, for its owner alone.
///
/// # Errors
/// Returns why it could not be made; one that is there already is such a reason.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| named(&error, path))
}

/// The operating system's errors do not say which file they are about.
pub(super) fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Name to digest of what the demo wrote here before; nothing in a folder that is empty or not there.
fn written_before(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let list = folder.join(LIST);
    match fs::read_to_string(&list) {
        Ok(text) => {
            let lines = text.lines().filter_map(|line| line.split_once("  "));
            let named = lines.map(|(digest, name)| (name.to_owned(), digest.to_owned()));
            return Ok(named.collect());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(&error, &list)),
    }
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(BTreeMap::new()),
        Ok(false) => {
            let folder = folder.display();
            Err(refused(format!(
                "{folder} is not empty, and the demo did not write what is there: name a folder that is \
                 empty or not there"
            )))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(named(&error, folder)),
    }
}

fn refused(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
