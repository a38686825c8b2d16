//! What EAL leaves in file systems, and taking it away.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Removes the runtime folder of an environment that has ended, and its hugepage files if it has any.
/// EAL names both by the prefix, which no two environments share while they run: EAL sees to that.
pub(crate) fn remove(runtime_dir: &Path, hugepage_files: bool) {
    // What can't be removed harms nobody: the next environment of that prefix takes it over.
    let _ = fs::remove_dir_all(runtime_dir);
    let Some(prefix) = runtime_dir.file_name().and_then(|name| name.to_str()) else { return };
    if hugepage_files {
        remove_hugepage_files(prefix);
    }
}

/// Removes the runtime folder after a start that failed, unless another process runs there, which may
/// be why it failed.
pub(crate) fn remove_if_unused(runtime_dir: &Path, prefix: &str) {
    let created = runtime_dir.file_name().is_some_and(|name| name == prefix);
    if created && !is_locked(&runtime_dir.join("config")) {
        remove(runtime_dir, true);
    }
}

fn remove_hugepage_files(prefix: &str) {
    let ours = format!("{prefix}map_");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(1);
        let (Some(folder), Some("hugetlbfs")) = (fields.next(), fields.next()) else { continue };
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().starts_with(&ours) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// Whether another process holds a lock on the file, as EAL does on its config while it runs.
fn is_locked(file: &Path) -> bool {
    let Ok(file) = fs::File::options().read(true).write(true).open(file) else { return false };
    // SAFETY: the lock's description is made of integers, for which zeros are a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    // SAFETY: asks about an open file, and writes `lock` only.
    let ret = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) };
    ret != 0 || lock.l_type != libc::F_UNLCK as libc::c_short
}
