//! Tells when the files of a configuration have changed, and whether what was read of them is whole.
//!
//! Looks at them again and again rather than being told by the system (inotify): that works the same
//! for folders that are swapped behind a symbolic link (Kubernetes mounts), on network and overlay
//! file systems, which tell nobody what another host did, and has no limit that runs out. A look costs one
//! `stat` for each file. Nothing here opens a file or keeps anything of its content.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What took part in a configuration, or would have if it had been there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sources {
    files: BTreeSet<PathBuf>,
    /// Folders, and how the names end of what counts in them.
    folders: BTreeMap<PathBuf, &'static [&'static str]>,
}

impl Sources {
    /// A file, wherever it lies.
    pub(super) fn file(&mut self, file: PathBuf) {
        self.files.insert(file);
    }

    /// Every file in a folder with one of these extensions that is not hidden.
    pub(super) fn folder(&mut self, folder: PathBuf, extensions: &'static [&'static str]) {
        self.folders.insert(folder, extensions);
    }

    /// How everything looks now.
    #[must_use]
    pub fn look(&self) -> Look {
        let mut look = BTreeMap::new();
        for file in &self.files {
            look.insert(file.clone(), Mark::of(file));
        }
        for (folder, extensions) in &self.folders {
            match listed(folder, extensions) {
                Ok(files) => look.extend(files.into_iter().map(|file| {
                    let mark = Mark::of(&file);
                    (file, mark)
                })),
                Err(error) => {
                    look.insert(folder.clone(), Mark::Missing(error.kind()));
                }
            }
        }
        Look(look)
    }
}

/// How the files looked at one moment: equal as long as nobody has changed, replaced, added or removed
/// one of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look(BTreeMap<PathBuf, Mark>);

/// What tells a file from what it was before. Symbolic links are followed, also in folders above.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mark {
    /// It cannot be looked at.
    Missing(io::ErrorKind),
    /// It is there.
    There {
        file: (u64, u64),
        bytes: u64,
        /// Seconds and nanoseconds.
        modified: (i64, i64),
        /// The same for its owner, its mode and its names: a file that becomes readable has changed.
        changed: (i64, i64),
    },
}

impl Mark {
    fn of(file: &Path) -> Self {
        match fs::metadata(file) {
            Ok(metadata) => Self::There {
                file: (metadata.dev(), metadata.ino()),
                bytes: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
            Err(error) => Self::Missing(error.kind()),
        }
    }
}

/// The files of a folder that are not hidden and have one of these extensions, by name.
pub(super) fn listed(folder: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let counts = |extension: &OsStr| extensions.iter().any(|it| extension == *it);
        if !name.starts_with(b".") && path.extension().is_some_and(counts) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Waits for a change to be over: what is being written is not to be read.
#[derive(Debug)]
pub struct Watch {
    sources: Sources,
    /// How everything looked when it was read last.
    read: Option<Look>,
    /// How it looked the last time, if otherwise than when it was read.
    restless: Option<Look>,
}

impl Watch {
    /// Watches over what took part; nothing of it counts as read yet.
    #[must_use]
    pub fn over(sources: Sources) -> Self {
        Self {
            sources,
            read: None,
            restless: None,
        }
    }

    /// What is watched.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether something has changed since it was read, and two looks in a row were the same.
    pub fn has_settled(&mut self, look: Look) -> bool {
        if self.read.as_ref() == Some(&look) {
            self.restless = None;
            return false;
        }
        let settled = self.restless.as_ref() == Some(&look);
        self.restless = Some(look);
        settled
    }

    /// Takes note of a reading that began at `before`, in which `sources` took part, and after which
    /// they looked like `after`. Whether it may be used: nothing of it was changed meanwhile, and
    /// nothing took part that had not been looked at before.
    pub fn has_read(&mut self, sources: Sources, before: Look, after: Look) -> bool {
        let is_whole = self.sources == sources && before == after;
        self.sources = sources;
        if is_whole {
            self.read = Some(before);
            self.restless = None;
        } else {
            self.restless = Some(after);
        }
        is_whole
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// Something of every kind, in a folder of its own.
    fn scene() -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("routes.d")).unwrap();
        fs::write(at("main.toml"), "a").unwrap();
        fs::write(at("routes.d/wiki.toml"), "b").unwrap();
        let mut sources = Sources::default();
        sources.file(at("main.toml"));
        sources.file(at("secret"));
        sources.folder(at("routes.d"), &["toml"]);
        (folder, sources)
    }

    #[test]
    fn every_change_of_a_file_that_counts_is_seen_and_no_other() {
        let (folder, sources) = scene();
        let at = |name: &str| folder.path().join(name);
        let mut before = sources.look();
        let mut changes = |what: &str| {
            let now = sources.look();
            let changed = now != before;
            before = now;
            assert_eq!(changed, !what.starts_with("nothing"), "{what}");
        };
        changes("nothing happened");
        fs::write(at("main.toml"), "A").unwrap();
        changes("as many bytes, others");
        fs::write(at("secret"), "s").unwrap();
        changes("a file that was named and not there");
        fs::set_permissions(at("secret"), fs::Permissions::from_mode(0o400)).unwrap();
        changes("a file that others may read");
        fs::write(at("new"), "s").unwrap();
        fs::rename(at("new"), at("secret")).unwrap();
        changes("another file in its place");
        fs::write(at("routes.d/erp.toml"), "").unwrap();
        changes("a new file in the folder");
        fs::remove_file(at("routes.d/wiki.toml")).unwrap();
        changes("a file that is gone");
        fs::write(at("routes.d/.erp.toml.swp"), "").unwrap();
        fs::write(at("routes.d/.hidden.toml"), "").unwrap();
        fs::write(at("routes.d/erp.toml~"), "").unwrap();
        fs::write(at("other.toml"), "").unwrap();
        changes("nothing that counts");
        fs::remove_dir_all(at("routes.d")).unwrap();
        changes("a folder that is gone");
    }

    #[test]
    fn a_folder_that_is_swapped_behind_a_link_has_changed() {
        // As Kubernetes mounts secrets and maps: names that lead into `..data`, which is swapped.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("secret"), "same").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/secret", at("secret")).unwrap();
        let mut sources = Sources::default();
        sources.file(at("secret"));
        let before = sources.look();
        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert_ne!(sources.look(), before);
    }

    fn look(number: u64) -> Look {
        let mark = Mark::There {
            file: (0, 0),
            bytes: number,
            modified: (0, 0),
            changed: (0, 0),
        };
        Look(BTreeMap::from([(PathBuf::new(), mark)]))
    }

    #[test]
    fn what_is_still_being_written_is_not_read() {
        let mut watch = Watch::over(Sources::default());
        assert!(watch.has_read(Sources::default(), look(0), look(0)));
        let looks = [0, 0, 1, 2, 1, 1, 1];
        let settled = looks.map(|number| watch.has_settled(look(number)));
        // The last two looks were the same, and it was not read in between.
        assert_eq!(settled, [false, false, false, false, false, true, true]);
        // A change that was taken back is none.
        assert!(!watch.has_settled(look(0)));
        assert!(!watch.has_settled(look(1)));
    }

    #[test]
    fn a_reading_counts_only_if_nothing_moved_under_it() {
        let sources = |name: &str| {
            let mut sources = Sources::default();
            sources.file(PathBuf::from(name));
            sources
        };
        let mut watch = Watch::over(sources("a"));
        assert!(
            !watch.has_read(sources("a"), look(1), look(2)),
            "it changed meanwhile"
        );
        assert!(watch.has_settled(look(2)), "and was quiet afterwards");
        assert!(
            !watch.has_read(sources("b"), look(2), look(2)),
            "something else took part"
        );
        assert_eq!(watch.sources(), &sources("b"));
        assert!(watch.has_read(sources("b"), look(2), look(2)));
        assert!(!watch.has_settled(look(2)));
    }
}
