//! The snapshot's place in the state folder: written in one step, taken away before it is read.
//!
//! Never leaves a snapshot that was looked at where a later start would find it, and never writes one
//! for a process that another has followed already: both would bring back what has ended since.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{key_ring::new_file, secret::Secret};

const SNAPSHOT: &str = "sessions.sealed";
const UNFINISHED: &str = "sessions.sealed.new";
/// Names the process that was started last.
const OWNER: &str = "sessions.owner";

/// Why nothing could be taken from the state folder, or left there.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Another process is at it in this very moment.
    #[error("another vestibule is using it")]
    Busy,
    /// A later process serves with this state folder.
    #[error("another vestibule has been started with it since")]
    Followed,
    /// It is a folder, a link, a pipe.
    #[error("the snapshot is no regular file")]
    Irregular,
    /// It could not be read or written.
    #[error("it could not be read or written")]
    Io(#[from] io::Error),
    /// Somebody else wrote it.
    #[error("the snapshot belongs to another user")]
    Owner,
    /// Others than its owner may read or write it.
    #[error("the snapshot is open to other users")]
    Permissions,
    /// It could not be removed for good: a crash later would bring it back.
    #[error("the snapshot could not be removed")]
    Removal(#[source] io::Error),
    /// No snapshot is that large.
    #[error("the snapshot is larger than any could be")]
    Size,
}

/// A process's hold on the state folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Names this process.
    own: Secret,
}

/// A snapshot that was taken away: nobody else finds it any more.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) file: File,
    /// The process that was started last before this one; no other can have left it.
    pub(super) owner: String,
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            own: Secret::random(),
        }
    }

    /// Says that this process is the one that serves, and takes the snapshot away if there is one.
    pub(super) fn take(&self, max_bytes: u64) -> Result<Option<Taken>, FolderError> {
        self.take_removing(max_bytes, |path| fs::remove_file(path))
    }

    fn take_removing(
        &self,
        max_bytes: u64,
        remove: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<Option<Taken>, FolderError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        let lock = self.lock()?;
        let owner = self.owner()?;
        let user = self.sign()?;
        // What a process left that ended while it wrote; it was never a snapshot.
        let _ = fs::remove_file(self.path.join(UNFINISHED));
        let path = self.path.join(SNAPSHOT);
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        let opened = if !metadata.is_file() {
            Err(FolderError::Irregular)
        } else if metadata.uid() != user {
            Err(FolderError::Owner)
        } else if metadata.mode() & 0o077 != 0 {
            Err(FolderError::Permissions)
        } else if metadata.len() > max_bytes {
            Err(FolderError::Size)
        } else {
            File::open(&path).map_err(FolderError::Io)
        };
        // Whatever it is: what is not believed now must not be by a later start either.
        remove(&path)
            .and_then(|()| lock.sync_all())
            .map_err(FolderError::Removal)?;
        Ok(Some(Taken {
            file: opened?,
            owner,
        }))
    }

    /// What this process is called where it has to be told from others.
    pub(super) fn own(&self) -> &str {
        self.own.expose()
    }

    /// Has `write` write a snapshot, which is there from one moment to the next or not at all.
    pub(super) fn put(
        &self,
        write: impl FnOnce(File) -> io::Result<File>,
    ) -> Result<(), FolderError> {
        let lock = self.lock()?;
        if !self.own.matches(&self.owner()?) {
            return Err(FolderError::Followed);
        }
        let unfinished = self.path.join(UNFINISHED);
        let written = new_file(&unfinished)
            .and_then(write)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&unfinished, self.path.join(SNAPSHOT)))
            .and_then(|()| lock.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        Ok(written?)
    }

    /// The process that was started last; empty before the first one.
    fn owner(&self) -> io::Result<String> {
        match fs::read(self.path.join(OWNER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            owner => Ok(String::from_utf8_lossy(&owner?).into_owned()),
        }
    }

    /// Held until it is dropped; the folder itself, so that it can be synced as well.
    fn lock(&self) -> Result<File, FolderError> {
        let folder = File::open(&self.path)?;
        match folder.try_lock() {
            Ok(()) => Ok(folder),
            Err(TryLockError::WouldBlock) => Err(FolderError::Busy),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Names this process as the one that serves; returns the user it runs as.
    fn sign(&self) -> io::Result<u32> {
        let path = self.path.join(OWNER);
        let beside = path.with_extension("owner.new");
        let mut file = new_file(&beside)?;
        file.write_all(self.own.expose().as_bytes())?;
        let user = file.metadata()?.uid();
        fs::rename(beside, path)?;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        io::Read,
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    use super::*;

    const MOST: u64 = 1024;

    /// A state folder in which a process has left a snapshot.
    fn left() -> (tempfile::TempDir, PathBuf) {
        let state = tempfile::tempdir().unwrap();
        let first = Folder::at(state.path());
        assert!(first.take(MOST).unwrap().is_none());
        let write = |mut file: File| file.write_all(b"sessions").map(|()| file);
        first.put(write).unwrap();
        let path = state.path().join(SNAPSHOT);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        (state, path)
    }

    #[test]
    fn a_snapshot_is_taken_once() {
        let (state, path) = left();
        let next = Folder::at(state.path());
        let mut text = String::new();
        let Taken { mut file, owner } = next.take(MOST).unwrap().unwrap();
        assert!(!path.exists(), "it is gone before it is read");
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "sessions");
        assert_eq!(owner.len(), 43, "{owner}");
        assert!(Folder::at(state.path()).take(MOST).unwrap().is_none());
    }

    #[test]
    fn a_snapshot_that_cannot_be_removed_is_not_used() {
        // S-284
        let (state, path) = left();
        let next = Folder::at(state.path());
        let fails = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
        let taken = next.take_removing(MOST, fails);
        assert!(matches!(taken, Err(FolderError::Removal(_))));
        assert!(path.exists());
    }

    #[test]
    fn an_odd_file_is_refused_and_does_not_stay() {
        // S-284
        let (state, path) = left();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let taken = Folder::at(state.path()).take(MOST);
        assert!(matches!(taken, Err(FolderError::Permissions)));
        assert!(!path.exists());

        let (state, path) = left();
        // Only the superuser can give a file away.
        if chown(&path, Some(12_345), None).is_ok() {
            let taken = Folder::at(state.path()).take(MOST);
            assert!(matches!(taken, Err(FolderError::Owner)));
            assert!(!path.exists());
        }

        let (state, path) = left();
        let taken = Folder::at(state.path()).take(3);
        assert!(matches!(taken, Err(FolderError::Size)));
        assert!(!path.exists());

        let (state, path) = left();
        let elsewhere = state.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        let taken = Folder::at(state.path()).take(MOST);
        assert!(matches!(taken, Err(FolderError::Irregular)));
        assert!(fs::symlink_metadata(&path).is_err() && elsewhere.exists());
    }

    #[test]
    fn a_folder_in_its_place_is_not_used() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join(SNAPSHOT)).unwrap();
        assert!(Folder::at(state.path()).take(MOST).is_err());
    }

    #[test]
    fn a_process_that_was_followed_leaves_nothing() {
        // What ended at the one that followed would live again.
        let state = tempfile::tempdir().unwrap();
        let (first, second) = (Folder::at(state.path()), Folder::at(state.path()));
        first.take(MOST).unwrap();
        second.take(MOST).unwrap();
        assert!(matches!(first.put(Ok), Err(FolderError::Followed)));
        assert!(!state.path().join(SNAPSHOT).exists());
        second.put(Ok).unwrap();
        assert!(state.path().join(SNAPSHOT).exists());
    }

    #[test]
    fn a_snapshot_that_cannot_be_finished_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::at(state.path());
        folder.take(MOST).unwrap();
        let full = |_: File| Err(io::ErrorKind::StorageFull.into());
        assert!(matches!(folder.put(full), Err(FolderError::Io(_))));
        let left: Vec<_> = fs::read_dir(state.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [OWNER]);
    }

    #[test]
    fn two_processes_are_not_at_it_at_once() {
        let (state, _) = left();
        let held = Folder::at(state.path()).lock().unwrap();
        let taken = Folder::at(state.path()).take(MOST);
        assert!(matches!(taken, Err(FolderError::Busy)));
        drop(held);
        assert!(Folder::at(state.path()).take(MOST).unwrap().is_some());
    }
}
