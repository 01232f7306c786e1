//! Build of components from their pinned Go modules.

use std::{
    ffi::OsString,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    component::Component,
    go_module::GoModule,
    process::{Launch, Process, ProcessError, log_tail},
    progress::{Part, Progress, clock},
    version::Version,
};

use super::{ComponentsError, SearchPath, cache::Cache, download::Downloads};

/// Error of building a component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The `go` command is missing.
    #[error(
        "the Kubernetes components have to be built once, which needs Go {wanted} or newer, and there is no `go` in \
         PATH: install it (https://go.dev/dl), or name a folder with the binaries in KUBEBUILDER_ASSETS"
    )]
    NoGo {
        /// Oldest Go version that can build the component.
        wanted: Version,
    },
    /// The `go` command is too old, and may not download a newer one.
    #[error(
        "the Kubernetes components have to be built once, which needs Go {wanted} or newer; this is {found}: install \
         a newer one (https://go.dev/dl), or name a folder with the binaries in KUBEBUILDER_ASSETS"
    )]
    OldGo {
        /// Oldest Go version that can build the component.
        wanted: Version,
        /// Output of `go version`.
        found: String,
    },
    /// The disk is full.
    #[error(
        "the disk is full: building {component} needs room for the Go build cache (`go env GOCACHE`, about 4 GB for \
         all components) and in {} (500 MB)", cache.display()
    )]
    DiskFull {
        /// Component that was being built.
        component: Component,
        /// Folder of the binaries.
        cache: PathBuf,
    },
    /// The compiler or the download of the modules reported an error.
    #[error("cannot build {component}; the last lines of {}:\n{tail}", log.display())]
    Go {
        /// Component that was being built.
        component: Component,
        /// Output file of the build.
        log: PathBuf,
        /// Last lines of the output.
        tail: String,
    },
    /// The build cannot be started, or its result cannot be stored.
    #[error("cannot build {component} in {}", cache.display())]
    Io {
        /// Component that was being built.
        component: Component,
        /// Folder of the binaries.
        cache: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// `go` cannot be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

const TAIL_LINES: usize = 20;

/// Downloads or builds the missing components one after another. Parallel builds are not faster.
pub(super) async fn into_cache(
    cache: &Cache,
    missing: &[Component],
    progress: &Progress,
) -> Result<(), ComponentsError> {
    let _turn = cache.take_turn(progress).await?;
    let missing: Vec<Component> =
        missing.iter().copied().filter(|component| !cache.binary(*component).is_file()).collect();
    let missing = match Downloads::of_environment() {
        Some(downloads) => downloads.fetch(cache, &missing, progress).await,
        None => missing,
    };
    if missing.is_empty() {
        return Ok(());
    }
    check_go(cache)?;
    let total: Duration = missing.iter().map(|component| component.usual_build_time()).sum();
    progress.note(&format!(
        "building {} once into {} (about {} min on two cores)",
        match missing.as_slice() {
            [one] => one.to_string(),
            several => format!("{} Kubernetes components", several.len()),
        },
        cache.dir().display(),
        total.as_secs().div_ceil(60),
    ));
    let mut before = Duration::ZERO;
    for (index, component) in missing.iter().copied().enumerate() {
        let mut part = Part {
            name: component.name(),
            number: index + 1,
            of: missing.len(),
            before,
            usual: component.usual_build_time(),
            total,
            elapsed: Duration::ZERO,
        };
        let started = Instant::now();
        build(cache, component, |elapsed| {
            part.elapsed = elapsed;
            progress.part(&part);
        })
        .await?;
        progress.note(&format!(
            "built {component} ({} of {}) in {}",
            index + 1,
            missing.len(),
            clock(started.elapsed())
        ));
        before += component.usual_build_time();
    }
    Ok(())
}

async fn build(cache: &Cache, component: Component, mut tick: impl FnMut(Duration)) -> Result<(), ComponentsError> {
    let failed = |source| BuildError::Io { component, cache: cache.dir().to_owned(), source };
    let log = cache.log();
    fs::write(&log, "").map_err(failed)?;
    let unfinished = cache.unfinished(component);
    let started = Instant::now();
    let launch = Launch {
        name: format!("go build {component}"),
        program: find_go().ok_or_else(|| no_go(cache.module()))?,
        args: arguments(component, &unfinished),
        dir: cache.dir().to_owned(),
        env: environment(),
        log: log.clone(),
        pid_file: None,
    };
    let status = Process::run(&launch, || tick(started.elapsed())).await.map_err(BuildError::from)?;
    if !status.success() {
        let _ = fs::remove_file(&unfinished);
        return Err(explain(component, cache.dir(), log).into());
    }
    fs::rename(&unfinished, cache.binary(component)).map_err(failed)?;
    Ok(())
}

fn arguments(component: Component, output: &Path) -> Vec<OsString> {
    // The checks of `go vet` would take as long as the build.
    let order: &[&str] = if component.is_test() { &["test", "-c", "-vet=off"] } else { &["build"] };
    let mut args: Vec<OsString> = order.iter().map(OsString::from).collect();
    args.extend(["-ldflags".into(), link_flags(component).into()]);
    args.extend(["-o".into(), output.into(), component.package().into()]);
    args
}

/// Linker flags that set the version. Without them an API server reports v0.0.0, which confuses discovery and kubectl.
fn link_flags(component: Component) -> String {
    let mut flags = "-s -w".to_owned();
    if let Some(package) = version_package(component)
        && let Some(version) = component.pinned()
    {
        for (name, value) in [
            ("gitVersion", format!("v{version}")),
            ("gitMajor", version.major.to_string()),
            ("gitMinor", version.minor.to_string()),
        ] {
            let _ = write!(flags, " -X {package}.{name}={value}");
        }
    }
    flags
}

/// Go package that holds the version variables of a Kubernetes program. The sample API server gets no version: it would
/// take its own for that of Kubernetes, and not start.
fn version_package(component: Component) -> Option<&'static str> {
    match component {
        Component::Etcd | Component::Kwok | Component::CoreDns | Component::Ginkgo | Component::SampleApiServer => None,
        Component::MetricsServer => Some("k8s.io/client-go/pkg/version"),
        _ => Some("k8s.io/component-base/version"),
    }
}

/// Environment of the build, without the settings of the user's own Go projects.
fn environment() -> Vec<(OsString, OsString)> {
    [("CGO_ENABLED", "0"), ("GOWORK", "off"), ("GOFLAGS", "-mod=readonly -buildvcs=false")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
}

/// Checks the `go` version in the folder of the module, where `go` may switch to a newer toolchain.
fn check_go(cache: &Cache) -> Result<(), BuildError> {
    let wanted = wanted_go(cache.module());
    let go = find_go().ok_or_else(|| no_go(cache.module()))?;
    let output = Command::new(go).arg("version").current_dir(cache.dir()).stdin(Stdio::null()).output();
    let Ok(output) = output else { return Err(no_go(cache.module())) };
    let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr })
        .trim()
        .to_owned();
    match go_version(&said) {
        Some(version) if output.status.success() && version >= wanted => Ok(()),
        _ => Err(BuildError::OldGo { wanted, found: said }),
    }
}

/// Parses the output of `go version`, such as `go version go1.26.8 linux/amd64`.
fn go_version(said: &str) -> Option<Version> {
    said.split_whitespace().find(|word| word.starts_with("go1")).and_then(Version::parse)
}

fn find_go() -> Option<PathBuf> {
    SearchPath::of_variable("PATH")?.file("go")
}

fn no_go(module: &GoModule) -> BuildError {
    BuildError::NoGo { wanted: wanted_go(module) }
}

fn wanted_go(module: &GoModule) -> Version {
    module.required_go().unwrap_or(Version { major: 1, minor: 26, patch: 0 })
}

fn explain(component: Component, cache: &Path, log: PathBuf) -> BuildError {
    let output = fs::read_to_string(&log).unwrap_or_default();
    if output.contains("no space left on device") || output.contains("disk quota exceeded") {
        return BuildError::DiskFull { component, cache: cache.to_owned() };
    }
    let tail = log_tail(&log, TAIL_LINES);
    BuildError::Go { component, log, tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kubernetes_binaries_are_told_their_version() {
        assert_eq!(link_flags(Component::Etcd), "-s -w");
        let pinned = Component::ApiServer.pinned().expect("a version");
        assert!(link_flags(Component::Kubectl).contains(&format!("version.gitVersion=v{pinned} ")));
    }

    #[test]
    fn the_version_of_go_is_read_from_what_it_says() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Version::parse("1.26.8"));
        assert_eq!(go_version("go version go1.26rc1 linux/amd64"), None);
        assert_eq!(go_version("go: go.mod requires go >= 1.26.0 (running go 1.22.2; GOTOOLCHAIN=local)"), None);
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("build.log");
        fs::write(&log, "compile: writing output: write $WORK/b001/_pkg_.a: no space left on device\n").expect("a log");
        assert!(matches!(
            explain(Component::ApiServer, dir.path(), log.clone()),
            BuildError::DiskFull { component: Component::ApiServer, .. }
        ));
        fs::write(&log, "go: module not found\n").expect("a log");
        let error = explain(Component::Kwok, dir.path(), log.clone());
        assert_eq!(
            error.to_string(),
            format!("cannot build kwok; the last lines of {}:\ngo: module not found", log.display())
        );
    }
}
