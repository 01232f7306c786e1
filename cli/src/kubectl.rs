//! Choice of the kubectl that users can run.

use std::path::{Path, PathBuf};

use tenet_playground::{Component, Components};

/// Pinned kubectl, with the reason why the one in PATH does not fit.
pub(crate) struct Kubectl {
    pub(crate) pinned: PathBuf,
    /// Reason why the kubectl in PATH does not fit.
    complaint: Option<String>,
}

impl Kubectl {
    pub(crate) fn find(components: &Components) -> Self {
        Self { pinned: components.path(Component::Kubectl).to_owned(), complaint: complaint() }
    }

    /// Returns an alias line that selects the pinned kubectl, if the one in PATH does not fit.
    pub(crate) fn alias(&self) -> Option<String> {
        let why = self.complaint.as_ref()?;
        Some(format!("alias kubectl={}   # {why}", self.pinned.display()))
    }
}

/// Returns the reason why the kubectl in PATH does not fit: it supports one minor version of skew in each direction.
fn complaint() -> Option<String> {
    let Some((path, version)) = Components::in_path(Component::Kubectl) else {
        return Some("there is no kubectl in PATH".to_owned());
    };
    let pinned = Component::Kubectl.pinned()?;
    match version {
        Some(version) if version.major == pinned.major && version.minor.abs_diff(pinned.minor) <= 1 => None,
        Some(version) => Some(format!("{} is {version}, too far from {pinned}", path.display())),
        None => Some(format!("{} does not print its version", path.display())),
    }
}

/// Returns a command as typed in a shell where `KUBECONFIG` names the virtual cluster.
pub(crate) fn line(args: &[String]) -> String {
    std::iter::once("kubectl".to_owned()).chain(args.iter().map(|arg| quoted(arg))).collect::<Vec<_>>().join(" ")
}

/// Returns `--kubeconfig PATH`, for the host cluster.
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
