//! Which kubectl people can use.

use std::path::{Path, PathBuf};

use tenet_playground::{Component, Components};

/// The pinned kubectl, and whether the one in PATH does as well.
pub(crate) struct Kubectl {
    pub(crate) pinned: PathBuf,
    /// What is wrong with the one in PATH.
    complaint: Option<String>,
}

impl Kubectl {
    pub(crate) fn find(components: &Components) -> Self {
        Self { pinned: components.path(Component::Kubectl).to_owned(), complaint: complaint() }
    }

    /// A line that makes `kubectl` the right one, if it is not.
    pub(crate) fn alias(&self) -> Option<String> {
        let why = self.complaint.as_ref()?;
        Some(format!("alias kubectl={}   # {why}", self.pinned.display()))
    }
}

/// kubectl works with API servers one minor version older or newer.
fn complaint() -> Option<String> {
    let Some((path, version)) = Components::in_path(Component::Kubectl) else {
        return Some("there is none in PATH".to_owned());
    };
    let pinned = Component::Kubectl.pinned()?;
    match version {
        Some(version) if version.major == pinned.major && version.minor.abs_diff(pinned.minor) <= 1 => None,
        Some(version) => Some(format!("{} is {version}, too far from {pinned}", path.display())),
        None => Some(format!("{} does not tell its version", path.display())),
    }
}

/// A command as it is typed, in a shell where `KUBECONFIG` names the virtual cluster.
pub(crate) fn line(args: &[String]) -> String {
    std::iter::once("kubectl".to_owned()).chain(args.iter().map(|arg| quoted(arg))).collect::<Vec<_>>().join(" ")
}

/// `--kubeconfig PATH`, for the other cluster.
pub(crate) fn kubeconfig_flag(path: &Path) -> String {
    format!("--kubeconfig {}", quoted(&path.to_string_lossy()))
}

fn quoted(word: &str) -> String {
    tenet_playground::Command::new(word).line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted() {
        let args = ["patch", "deployment", "nginx", "--patch-file", "/a b/mounts.yaml"].map(str::to_owned);
        assert_eq!(line(&args), "kubectl patch deployment nginx --patch-file '/a b/mounts.yaml'");
    }
}
