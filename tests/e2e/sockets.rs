//! Sockets that the switch listens on: after a crash, beside others, for whom.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use crate::harness::{Switch, Vm, run_to_end};
use crate::vhost::{config, introduce, socket};

/// A killed switch leaves its sockets; the next one serves the VMs that come back.
#[test]
fn a_killed_switch_leaves_nothing_in_the_way_of_the_next() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), 2, "server");
    let switch = Switch::start(&config);
    let vms = [1, 2].map(|number| Vm::connect(&socket(folder.path(), number), number));
    switch.crash();
    assert!(socket(folder.path(), 1).exists());
    drop(vms);
    let switch = Switch::start(&config);
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    switch.stop();
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = socket(folder.path(), 1);
    let listener = UnixListener::bind(&path).unwrap();
    let inode = path.symlink_metadata().unwrap().ino();
    let file = folder.path().join("pollux.toml");
    std::fs::write(&file, config(folder.path(), 1, "server")).unwrap();
    let control = folder.path().join("control.sock");
    let arguments = ["run", "--config", file.to_str().unwrap(), "--control", control.to_str().unwrap()];
    let (_, output) = run_to_end(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("port vm1: another process listens on {}", path.display())), "{said}");
    assert_eq!(path.symlink_metadata().unwrap().ino(), inode);
    drop(listener);
}

#[test]
fn sockets_have_the_mode_and_the_group_that_the_file_says() {
    let folder = TempDir::new().unwrap();
    let text = config(folder.path(), 1, "server")
        .replace("role = \"server\"", "role = \"server\", mode = \"0620\", group = \"daemon\"");
    let switch = Switch::start(&text);
    let metadata = socket(folder.path(), 1).symlink_metadata().unwrap();
    let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.gid()), (0o620, group.gid.as_raw()));
    let control = switch.socket().symlink_metadata().unwrap();
    assert_eq!(control.permissions().mode() & 0o777, 0o660);
    let control = switch.socket();
    switch.stop();
    assert!(!control.exists());
}
