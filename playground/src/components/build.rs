//! Builds components from their pinned Go modules.

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

use super::{ComponentsError, cache::Cache};

/// Why a component could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no `go` command.
    #[error(
        "the Kubernetes components have to be built once, which needs Go {wanted} or newer, and there is no `go` in \
         PATH: install it (https://go.dev/dl), or name a folder with the binaries in KUBEBUILDER_ASSETS"
    )]
    NoGo {
        /// The oldest version that will do.
        wanted: Version,
    },
    /// The `go` command is too old, and may not fetch a newer one.
    #[error(
        "the Kubernetes components have to be built once, which needs Go {wanted} or newer; this is {found}: install \
         a newer one (https://go.dev/dl), or name a folder with the binaries in KUBEBUILDER_ASSETS"
    )]
    OldGo {
        /// The oldest version that will do.
        wanted: Version,
        /// What `go version` says.
        found: String,
    },
    /// The disk is full.
    #[error(
        "the disk is full: building {component} needs room for the Go build cache (`go env GOCACHE`, about 4 GB for \
         all components) and in {} (500 MB)", cache.display()
    )]
    DiskFull {
        /// What was being built.
        component: Component,
        /// The folder of the binaries.
        cache: PathBuf,
    },
    /// The compiler, or the download of the modules, did not succeed.
    #[error("{component} cannot be built; the last lines of {}:\n{tail}", log.display())]
    Go {
        /// What was being built.
        component: Component,
        /// The output of the build.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The build could not be started, or its result not be kept.
    #[error("{component} cannot be built in {}", cache.display())]
    Io {
        /// What was being built.
        component: Component,
        /// The folder of the binaries.
        cache: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `go` could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
const TAIL_LINES: usize = 20;

/// Builds the missing components, one after another: two at once gain nothing.
pub(super) async fn into_cache(
    cache: &Cache,
    missing: &[Component],
    progress: &Progress,
) -> Result<(), ComponentsError> {
    let _turn = cache.take_turn(progress).await?;
    let missing: Vec<Component> =
        missing.iter().copied().filter(|component| !cache.binary(*component).is_file()).collect();
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
    let go = Process::spawn(&Launch {
        name: format!("go build {component}"),
        program: find_go().ok_or_else(|| no_go(cache.module()))?,
        args: arguments(component, &unfinished),
        dir: cache.dir().to_owned(),
        env: environment(),
        log: log.clone(),
        pid_file: None,
    })
    .map_err(BuildError::from)?;
    let status = loop {
        if let Some(status) = go.exited() {
            break status;
        }
        tick(started.elapsed());
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if !status.success() {
        let _ = fs::remove_file(&unfinished);
        return Err(explain(component, cache.dir(), log).into());
    }
    fs::rename(&unfinished, cache.binary(component)).map_err(failed)?;
    Ok(())
}

fn arguments(component: Component, output: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["build".into(), "-ldflags".into()];
    args.push(link_flags(component).into());
    args.extend(["-o".into(), output.into(), component.package().into()]);
    args
}

/// Without the version in it, an API server says v0.0.0, and discovery and kubectl behave oddly.
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

/// Where a program of Kubernetes keeps its version.
fn version_package(component: Component) -> Option<&'static str> {
    match component {
        Component::Etcd | Component::Kwok => None,
        Component::MetricsServer => Some("k8s.io/client-go/pkg/version"),
        _ => Some("k8s.io/component-base/version"),
    }
}

/// Settings of the user's own Go projects must not reach this build.
fn environment() -> Vec<(OsString, OsString)> {
    [("CGO_ENABLED", "0"), ("GOWORK", "off"), ("GOFLAGS", "-mod=readonly -buildvcs=false")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
}

/// Asked in the folder of the module: where a newer toolchain may be fetched, this is the newer one.
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

/// `go version go1.26.8 linux/amd64`
fn go_version(said: &str) -> Option<Version> {
    said.split_whitespace().find(|word| word.starts_with("go1")).and_then(Version::parse)
}

fn find_go() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("go")).find(|path| path.is_file())
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
            format!("kwok cannot be built; the last lines of {}:\ngo: module not found", log.display())
        );
    }
}
