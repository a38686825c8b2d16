//! Hugepages for the switches and the load: reserved for the run, given back after it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{BenchError, Result};

const MIB_PER_PAGE: u64 = 2;

/// Hugepages that were added to the host's.
#[derive(Debug)]
pub(crate) struct Hugepages {
    folder: PathBuf,
    added: u64,
}

impl Hugepages {
    /// Makes sure that so much is free, of our own if the host has the memory: what others reserved,
    /// they may want back.
    pub(crate) fn reserve(mib: u64) -> Result<Self> {
        Self::reserve_in(Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB"), mib)
    }

    fn reserve_in(folder: &Path, mib: u64) -> Result<Self> {
        let needed = mib.div_ceil(MIB_PER_PAGE);
        let before = read(folder, "nr_hugepages")?;
        // From here on its drop gives back what there is, also when it isn't enough.
        let mut pages = Self { folder: folder.to_owned(), added: 0 };
        write(folder, before + needed)?;
        pages.added = read(folder, "nr_hugepages")?.saturating_sub(before);
        let free = read(folder, "free_hugepages")?;
        if free < needed {
            return Err(BenchError::Host(format!(
                "{mib} MiB of hugepages are needed, and the host had room for {} MiB: free memory, or \
                 reserve them at boot (hugepages={needed} on the kernel's command line)",
                free * MIB_PER_PAGE
            )));
        }
        Ok(pages)
    }
}

impl Drop for Hugepages {
    fn drop(&mut self) {
        if self.added == 0 {
            return;
        }
        // Others may have changed the number meanwhile: take off what was put on.
        if let Ok(now) = read(&self.folder, "nr_hugepages") {
            let _ = write(&self.folder, now.saturating_sub(self.added));
        }
    }
}

fn read(folder: &Path, name: &str) -> Result<u64> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).map_err(|error| {
        BenchError::Host(format!("no hugepages of 2 MiB on this host ({}: {error})", path.display()))
    })?;
    text.trim().parse().map_err(|_| BenchError::Host(format!("{}: not a number: {text}", path.display())))
}

fn write(folder: &Path, pages: u64) -> Result<()> {
    let path = folder.join("nr_hugepages");
    fs::write(&path, pages.to_string()).map_err(|error| {
        BenchError::Host(format!("can't reserve hugepages ({}: {error}): run as root", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(total: u64, free: u64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("nr_hugepages"), format!("{total}\n")).unwrap();
        fs::write(folder.path().join("free_hugepages"), format!("{free}\n")).unwrap();
        folder
    }

    #[test]
    fn pages_are_added_and_given_back() {
        let folder = host(10, 8);
        let pages = Hugepages::reserve_in(folder.path(), 16).unwrap();
        assert_eq!(read(folder.path(), "nr_hugepages").unwrap(), 18);
        write(folder.path(), 30).unwrap();
        drop(pages);
        assert_eq!(read(folder.path(), "nr_hugepages").unwrap(), 22);
    }

    #[test]
    fn too_few_are_an_error_and_given_back() {
        let folder = host(10, 1);
        // The files don't behave as the kernel's: what is free stays as it is.
        let error = Hugepages::reserve_in(folder.path(), 16).unwrap_err();
        assert!(error.to_string().contains("room for 2 MiB"), "{error}");
        assert_eq!(read(folder.path(), "nr_hugepages").unwrap(), 10);
    }
}
