//! Images made of busybox, because tests cannot rely on a registry.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::RealNodeError;

/// Tagged image name, so that the kubelet does not pull it when it is present.
pub(super) const BUSYBOX: &str = "tenet.sh/busybox:1";
/// Image of the container that holds the namespaces of a pod.
pub(super) const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// File name, image name and command of each image.
pub(super) const ALL: [(&str, &str, &[&str]); 2] =
    [("busybox.tar", BUSYBOX, &["sh"]), ("pause.tar", PAUSE, &["sleep", "2147483647"])];

/// Image of one program, for [`RealNode::add_image`](super::RealNode::add_image).
#[derive(Clone, Debug)]
pub struct ProgramImage {
    /// Tagged name.
    pub name: String,
    /// Program on this machine, which becomes `/bin/NAME` in the image.
    pub program: PathBuf,
    /// True if the image runs the program by itself; otherwise a container names it as its command.
    pub is_entry_point: bool,
}

impl ProgramImage {
    /// Writes the image as an archive, with the shared libraries of the program.
    pub(super) fn write(&self, archive_path: &Path) -> io::Result<()> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut tar = Builder::new(Vec::new());
        let mut add = |from: &Path, to: &str| -> io::Result<()> {
            let bytes = fs::read(from)?;
            tar.append_data(&mut header(EntryType::Regular, 0o755, bytes.len()), to, &*bytes)
        };
        add(&self.program, &format!("bin/{name}"))?;
        for library in libraries(&self.program) {
            add(&library, library.to_string_lossy().trim_start_matches('/'))?;
        }
        let entry: &[&str] = if self.is_entry_point { &[&format!("/bin/{name}")] } else { &[] };
        fs::write(archive_path, archive(&tar.into_inner()?, &self.name, entry, &[])?)
    }
}

/// Returns the paths of the shared libraries of a program, and of the loader; none for a static one.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(program).stdin(Stdio::null()).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Writes the images as archives that `ctr images import` can read.
pub(super) fn write(busybox: &Path, dir: &Path) -> Result<(), RealNodeError> {
    let layer = layer(busybox).map_err(|source| RealNodeError::File { path: busybox.to_owned(), source })?;
    for (file, name, command) in ALL {
        let path = dir.join(file);
        archive(&layer, name, &[], command)
            .and_then(|bytes| fs::write(&path, bytes))
            .map_err(|source| RealNodeError::File { path, source })?;
    }
    Ok(())
}

/// Builds a layer with one file, and a link for each of its names.
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

fn archive(layer: &[u8], name: &str, entry: &[&str], command: &[&str]) -> io::Result<Vec<u8>> {
    let digest = Sha256::digest(layer).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let config = json!({
        "architecture": match env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Entrypoint": entry, "Cmd": command},
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read, os::unix::fs::PermissionsExt};

    use serde_json::Value;
    use tar::Archive;

    use super::*;

    fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = Archive::new(bytes);
        let file = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            (entry.path_bytes().escape_ascii().to_string(), content)
        };
        archive.entries().expect("entries").map(file).collect()
    }

    #[test]
    fn an_image_has_a_link_for_each_tool_and_names_its_layer_by_its_digest() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("busybox");
        fs::write(&program, "#!/bin/sh\nprintf 'busybox\\ncat\\nsh\\n'\n").expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
        write(&program, dir.path()).expect("the images");

        let image = files(&fs::read(dir.path().join("busybox.tar")).expect("an image"));
        let layer = &image["layer.tar"];
        let names: Vec<String> = files(layer).into_keys().filter(|name| name.starts_with("bin/")).collect();
        assert_eq!(names, ["bin/busybox", "bin/cat", "bin/sh"]);
        let config: Value = serde_json::from_slice(&image["config.json"]).expect("JSON");
        let digest = Sha256::digest(layer).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest]));
        let manifest: Value = serde_json::from_slice(&image["manifest.json"]).expect("JSON");
        assert_eq!(manifest[0]["RepoTags"], json!([BUSYBOX]));
    }
}
