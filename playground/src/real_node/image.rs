//! Images made of busybox, because none can be counted on to be had from a registry.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::RealNodeError;

/// Tagged, so that nobody tries to pull it when it is there.
pub(super) const BUSYBOX: &str = "tenet.sh/busybox:1";
/// What holds the namespaces of a pod.
pub(super) const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// The files, what is in them, and what it runs.
pub(super) const ALL: [(&str, &str, &[&str]); 2] =
    [("busybox.tar", BUSYBOX, &["sh"]), ("pause.tar", PAUSE, &["sleep", "2147483647"])];

/// Writes the images as archives that `ctr images import` understands.
pub(super) fn write(busybox: &Path, dir: &Path) -> Result<(), RealNodeError> {
    let layer = layer(busybox).map_err(|source| RealNodeError::File { path: busybox.to_owned(), source })?;
    for (file, name, command) in ALL {
        let path = dir.join(file);
        archive(&layer, name, command)
            .and_then(|bytes| fs::write(&path, bytes))
            .map_err(|source| RealNodeError::File { path, source })?;
    }
    Ok(())
}

/// One file, and a link for each of its names.
fn layer(busybox: &Path) -> io::Result<Vec<u8>> {
    let listing = Command::new(busybox).arg("--list").stdin(Stdio::null()).output()?;
    let mut tar = Builder::new(Vec::new());
    for (folder, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)] {
        tar.append_data(&mut header(EntryType::Directory, mode, 0), folder, io::empty())?;
    }
    let program = fs::read(busybox)?;
    tar.append_data(&mut header(EntryType::Regular, 0o755, program.len()), "bin/busybox", &*program)?;
    for name in String::from_utf8_lossy(&listing.stdout).split_whitespace().filter(|name| *name != "busybox") {
        tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("bin/{name}"), "busybox")?;
    }
    tar.into_inner()
}

fn archive(layer: &[u8], name: &str, command: &[&str]) -> io::Result<Vec<u8>> {
    let digest = Sha256::digest(layer).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let config = json!({
        "architecture": match env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut tar = Builder::new(Vec::new());
    for (file, bytes) in [
        ("manifest.json", manifest.to_string().as_bytes()),
        ("config.json", config.to_string().as_bytes()),
        ("layer.tar", layer),
    ] {
        tar.append_data(&mut header(EntryType::Regular, 0o644, bytes.len()), file, bytes)?;
    }
    tar.into_inner()
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header
}
