//! Locations of the component binaries.
//!
//! Binaries are searched in `KUBEBUILDER_ASSETS`, in PATH and in the cache. Missing ones are downloaded into the cache
//! where that is possible, else built.

mod build;
mod cache;
mod download;

use std::{
    collections::BTreeMap,
    env, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub use build::BuildError;

use crate::{component::Component, progress::Progress, version::Version};
use cache::Cache;

/// Paths of the component binaries.
#[derive(Clone, Debug)]
pub struct Components {
    found: BTreeMap<Component, PathBuf>,
    passed_over: Vec<String>,
}

/// Error of locating, downloading or building the components.
#[derive(Debug, thiserror::Error)]
pub enum ComponentsError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("cannot locate the cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// The cache cannot be read or written.
    #[error("cannot use the cache folder {}", path.display())]
    Cache {
        /// Folder or file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A build did not succeed.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Components {
    /// Finds every component, and downloads or builds the missing ones into the cache.
    ///
    /// A cold build of everything takes about 11 minutes on two cores. Two processes that need the same build
    /// wait for each other, and the second finds the result of the first.
    pub async fn locate_or_build(progress: &Progress) -> Result<Self, ComponentsError> {
        let mut components = Self { found: BTreeMap::new(), passed_over: Vec::new() };
        components.obtain(&Component::ALL, progress).await?;
        Ok(components)
    }

    /// Finds one optional component, and downloads or builds it into the cache when it is missing.
    pub async fn add(&mut self, component: Component, progress: &Progress) -> Result<(), ComponentsError> {
        self.obtain(&[component], progress).await
    }

    /// Like [`Components::add`], but reports an error as progress and returns false instead of failing.
    pub async fn add_if_possible(&mut self, component: Component, progress: &Progress) -> bool {
        let added = self.add(component, progress).await;
        if let Err(error) = &added {
            progress.note(&format!("continuing without {component}: {error}"));
        }
        added.is_ok()
    }

    /// All components of one call belong to the same Go module.
    async fn obtain(&mut self, wanted: &[Component], progress: &Progress) -> Result<(), ComponentsError> {
        let Some(first) = wanted.first() else { return Ok(()) };
        let cache = Cache::of_user(first.go_module())?;
        let told = self.passed_over.len();
        self.locate(wanted, &search_paths());
        self.take_from(&cache, wanted);
        let missing = self.missing(wanted);
        if !missing.is_empty() {
            for note in &self.passed_over[told..] {
                progress.note(note);
            }
            build::into_cache(&cache, &missing, progress).await?;
            self.take_from(&cache, wanted);
        }
        Ok(())
    }

    /// Returns the path of a component's binary.
    pub fn path(&self, component: Component) -> &Path {
        self.found.get(&component).map_or(Path::new(component.name()), PathBuf::as_path)
    }

    /// Returns the binary found in PATH, with its version when it prints one.
    pub fn in_path(component: Component) -> Option<(PathBuf, Option<Version>)> {
        let path = SearchPath::of_variable("PATH")?.file(component.name())?;
        let version = version_of(&path, component);
        Some((path, version))
    }

    /// Returns one sentence for each binary that was found but not used, with the reason.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    fn locate(&mut self, wanted: &[Component], places: &[SearchPath]) {
        for component in wanted.iter().copied() {
            for place in places {
                match place.judge(component) {
                    Verdict::Fits(path) => {
                        self.found.insert(component, path);
                        break;
                    }
                    Verdict::Unfit(why) => self.passed_over.push(why),
                    Verdict::Absent => {}
                }
            }
        }
    }

    fn take_from(&mut self, cache: &Cache, wanted: &[Component]) {
        for component in self.missing(wanted) {
            let path = cache.binary(component);
            if path.is_file() {
                self.found.insert(component, path);
            }
        }
    }

    fn missing(&self, wanted: &[Component]) -> Vec<Component> {
        wanted.iter().copied().filter(|component| !self.found.contains_key(component)).collect()
    }
}

/// Named list of folders that may contain binaries.
struct SearchPath {
    name: &'static str,
    folders: Vec<PathBuf>,
}

enum Verdict {
    Fits(PathBuf),
    Unfit(String),
    Absent,
}

fn search_paths() -> Vec<SearchPath> {
    ["KUBEBUILDER_ASSETS", "PATH"].into_iter().filter_map(SearchPath::of_variable).collect()
}

impl SearchPath {
    fn of_variable(name: &'static str) -> Option<Self> {
        let folders = env::split_paths(&env::var_os(name)?).collect();
        Some(Self { name, folders })
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
    }

    fn judge(&self, component: Component) -> Verdict {
        let Some(path) = self.file(component.name()) else {
            return Verdict::Absent;
        };
        let unfit = |why: String| Verdict::Unfit(format!("{} from {} is not used: {why}", path.display(), self.name));
        match (version_of(&path, component), component.pinned()) {
            (Some(version), Some(pinned)) if version.stands_in_for(&pinned) => Verdict::Fits(path),
            (Some(version), Some(pinned)) => unfit(format!("it is {version}, wanted is {pinned}")),
            _ => unfit("it does not print its version".to_owned()),
        }
    }
}

fn version_of(path: &Path, component: Component) -> Option<Version> {
    let output = Command::new(path).args(component.version_args()).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| Version::find_in(&text)).flatten()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn fake(dir: &Path, component: Component, says: &str) {
        let path = dir.join(component.name());
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    #[test]
    fn a_binary_of_another_minor_version_is_passed_over_with_the_reason() {
        let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let pinned = Component::Kubectl.pinned().expect("a version");
        fake(first.path(), Component::Kubectl, "Client Version: v1.32.4-dispatcher");
        fake(second.path(), Component::Kubectl, &format!("Client Version: v{}.{}.99", pinned.major, pinned.minor));
        fake(second.path(), Component::Etcd, "no version at all");
        let places = [
            SearchPath { name: "KUBEBUILDER_ASSETS", folders: vec![first.path().to_owned()] },
            SearchPath { name: "PATH", folders: vec![second.path().to_owned()] },
        ];
        let mut components = Components { found: BTreeMap::new(), passed_over: Vec::new() };
        components.locate(&Component::ALL, &places);
        assert_eq!(components.path(Component::Kubectl), second.path().join("kubectl"));
        assert_eq!(
            components.passed_over(),
            [
                format!("{}/etcd from PATH is not used: it does not print its version", second.path().display()),
                format!(
                    "{}/kubectl from KUBEBUILDER_ASSETS is not used: it is 1.32.4, wanted is {pinned}",
                    first.path().display()
                ),
            ]
        );
        assert!(components.missing(&Component::ALL).contains(&Component::Etcd));
        assert!(!components.missing(&Component::ALL).contains(&Component::Kubectl));
    }
}
