//! Archives of container images, as `ctr images import` reads them.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use hyper::body::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// Files that become a layer of an image.
pub struct LayerFiles {
    tar: Builder<Vec<u8>>,
    paths: BTreeSet<String>,
}

/// Layer of an image. Images can share it.
#[derive(Debug)]
pub struct Layer {
    digest: String,
    tar: Bytes,
}

/// Container image.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Tagged names.
    pub names: Vec<String>,
    /// Layers, the lowest first.
    pub layers: Vec<Arc<Layer>>,
    /// Words that every container starts with.
    pub entry: Vec<String>,
    /// Words that follow them unless a container has arguments of its own.
    pub command: Vec<String>,
    /// User that the containers run as; root by default.
    pub user: String,
    /// Variables such as `PATH=/bin`.
    pub env: Vec<String>,
}

impl Default for LayerFiles {
    fn default() -> Self {
        Self { tar: Builder::new(Vec::new()), paths: BTreeSet::new() }
    }
}

impl LayerFiles {
    /// Adds a folder.
    pub fn folder(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = header(EntryType::Directory, mode, 0);
        self.tar.append_data(&mut header, relative(path), io::empty())
    }

    /// Adds a file, unless there is one of this path.
    pub fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        if !self.paths.insert(path.to_owned()) {
            return Ok(());
        }
        self.tar.append_data(&mut header(EntryType::Regular, mode, bytes.len()), relative(path), bytes)
    }

    /// Adds a symbolic link, unless there is a file of this path.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        if !self.paths.insert(path.to_owned()) {
            return Ok(());
        }
        self.tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), relative(path), target)
    }

    /// Adds a program of this machine with its shared libraries.
    pub fn program(&mut self, path: &str, program: &Path) -> io::Result<()> {
        self.file(path, 0o755, &fs::read(program)?)?;
        for library in libraries(program) {
            self.file(&library.to_string_lossy(), 0o755, &fs::read(&library)?)?;
        }
        Ok(())
    }

    /// Adds busybox, with a link in `/bin` for each of its tools that is not there yet.
    pub fn tools(&mut self, busybox: &Path) -> io::Result<()> {
        let listing = Command::new(busybox).arg("--list").stdin(Stdio::null()).output()?;
        self.program("/bin/busybox", busybox)?;
        for name in String::from_utf8_lossy(&listing.stdout).split_whitespace() {
            self.link(&format!("/bin/{name}"), "busybox")?;
        }
        Ok(())
    }

    /// Returns the layer.
    pub fn into_layer(self) -> io::Result<Arc<Layer>> {
        let tar = self.tar.into_inner()?;
        Ok(Arc::new(Layer { digest: digest(&tar), tar: tar.into() }))
    }
}

impl Image {
    /// Writes one archive with all these images. Shared layers are in it once.
    pub fn write_all(images: &[Self], path: &Path) -> io::Result<()> {
        let mut archive = Builder::new(BufWriter::new(File::create(path)?));
        let mut add = |name: &str, bytes: &[u8]| {
            archive.append_data(&mut header(EntryType::Regular, 0o644, bytes.len()), name, bytes)
        };
        let layers = || images.iter().flat_map(|image| &image.layers);
        let mut written = BTreeSet::new();
        for layer in layers().filter(|layer| written.insert(layer.digest.clone())) {
            add(&layer.file(), &layer.tar)?;
        }
        let mut manifest = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let config = format!("config-{index}.json");
            add(&config, image.config().as_bytes())?;
            let files: Vec<String> = image.layers.iter().map(|layer| layer.file()).collect();
            manifest.push(json!({"Config": config, "RepoTags": image.names, "Layers": files}));
        }
        add("manifest.json", json!(manifest).to_string().as_bytes())?;
        archive.into_inner()?.flush()
    }

    pub(super) fn config(&self) -> String {
        let digests: Vec<String> = self.layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
        json!({
            "architecture": match env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "config": {"Env": self.env, "Entrypoint": self.entry, "Cmd": self.command, "User": self.user},
            "rootfs": {"type": "layers", "diff_ids": digests},
        })
        .to_string()
    }
}

impl Layer {
    fn file(&self) -> String {
        format!("{}.tar", self.digest)
    }

    /// Returns the content.
    pub(super) fn bytes(&self) -> Bytes {
        self.tar.clone()
    }
}

/// Returns the paths of the shared libraries of a program, and of the loader; none for a static one.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(program).stdin(Stdio::null()).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
    fn images_share_a_layer_that_has_a_link_for_each_tool() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("busybox");
        fs::write(&program, "#!/bin/sh\nprintf 'busybox\\ncat\\nsh\\n'\n").expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut below = LayerFiles::default();
        below.file("/bin/cat", 0o755, b"its own").expect("a file");
        below.tools(&program).expect("the tools");
        let below = below.into_layer().expect("a layer");
        let mut above = LayerFiles::default();
        above.folder("/data", 0o755).expect("a folder");
        let above = above.into_layer().expect("a layer");
        let image = |name: &str, layers: &[&Arc<Layer>]| Image {
            names: vec![name.to_owned()],
            layers: layers.iter().map(|layer| Arc::clone(layer)).collect(),
            ..Image::default()
        };
        let path = dir.path().join("images.tar");
        Image::write_all(&[image("a:1", &[&below]), image("b:1", &[&below, &above])], &path).expect("an archive");

        let archive = files(&fs::read(&path).expect("the archive"));
        assert_eq!(archive.len(), 5, "two layers, two configurations and the manifest: {:?}", archive.keys());
        let manifest: Value = serde_json::from_slice(&archive["manifest.json"]).expect("JSON");
        assert_eq!(manifest[1]["RepoTags"], json!(["b:1"]));
        assert_eq!(manifest[0]["Layers"][0], manifest[1]["Layers"][0]);
        let layer = &archive[manifest[0]["Layers"][0].as_str().expect("a name")];
        let names: Vec<String> = files(layer).into_keys().collect();
        assert_eq!(names, ["bin/busybox", "bin/cat", "bin/sh"]);
        assert_eq!(files(layer)["bin/cat"], b"its own");
        let config: Value = serde_json::from_slice(&archive["config-0.json"]).expect("JSON");
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", digest(layer))]));
    }
}
