use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::DemoError;

/// A folder that nobody else may enter. Dropping it removes it, and what is in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Result<Self, DemoError> {
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(DemoError::Lacks(format!(
                "the folder {} can't be made: {error}; set TMPDIR to a folder that can be written",
                path.display()
            ))),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it can't be removed now, the next demo tries again.
        let _ = fs::remove_dir_all(&self.0);
    }
}
