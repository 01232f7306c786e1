//! Download of released binaries, in place of a build.
//!
//! A file counts only with the checksum that is compiled in, so it does not matter who serves it. Without a network,
//! without `curl` and after any other failure the component is built.

use std::{
    env,
    fmt::Write,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Instant,
};

use sha2::{Digest, Sha256};

use crate::{
    component::Component,
    process::{Launch, Process, ProcessError, log_tail},
    progress::{Progress, clock},
};

use super::{SearchPath, cache::Cache, version_of};

/// Variable with the URL of a mirror, below which files are found by host and path; `off` for no downloads.
const VARIABLE: &str = "TENET_DOWNLOADS";
const PINNED: &str = include_str!("../../components/downloads.txt");
/// Exit codes of curl when a name is not resolved, no server answers, or the time is over.
const OF_NETWORK: [i32; 3] = [6, 7, 28];

/// Released binaries, and where they come from.
pub(super) struct Downloads {
    releases: Vec<Release>,
    mirror: Option<String>,
}

/// Binary of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Release {
    component: String,
    platform: String,
    sha256: String,
    url: String,
}

/// Reason for which a download does not count.
#[derive(Debug, thiserror::Error)]
enum DownloadError {
    #[error("there is no `curl` in PATH")]
    NoCurl,
    #[error("{url} cannot be fetched: {tail}")]
    Fetch { url: String, tail: String, is_of_network: bool },
    #[error("{url} has the SHA-256 {found}, pinned is {pinned}")]
    Checksum { url: String, found: String, pinned: String },
    #[error("the binary in {url} is of another version than the pinned one")]
    Version { url: String },
    #[error("it cannot be stored: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Downloads {
    /// Returns the pinned releases; `None` if downloads are switched off.
    pub(super) fn of_environment() -> Option<Self> {
        let mirror = env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        (mirror.as_deref() != Some("off")).then(|| Self { releases: releases(PINNED), mirror })
    }

    /// Downloads what is released, and returns what has to be built.
    pub(super) async fn fetch(&self, cache: &Cache, missing: &[Component], progress: &Progress) -> Vec<Component> {
        let mut left = Vec::new();
        let mut is_reachable = true;
        for component in missing.iter().copied() {
            let Some(release) = self.release(component).filter(|_| is_reachable) else {
                left.push(component);
                continue;
            };
            let started = Instant::now();
            match self.one(cache, component, release, progress).await {
                Ok(()) => progress.note(&format!("downloaded {component} in {}", clock(started.elapsed()))),
                Err(error) => {
                    progress.note(&format!("building {component}, as {error}"));
                    // Each further attempt would wait for the same network.
                    is_reachable =
                        !matches!(error, DownloadError::NoCurl | DownloadError::Fetch { is_of_network: true, .. });
                    left.push(component);
                }
            }
        }
        left
    }

    fn release(&self, component: Component) -> Option<&Release> {
        let platform = format!("{}/{}", env::consts::OS, env::consts::ARCH);
        self.releases.iter().find(|release| release.component == component.name() && release.platform == platform)
    }

    fn url(&self, release: &Release) -> String {
        match &self.mirror {
            Some(mirror) => {
                format!("{}/{}", mirror.trim_end_matches('/'), release.url.trim_start_matches("https://"))
            }
            None => release.url.clone(),
        }
    }

    async fn one(
        &self,
        cache: &Cache,
        component: Component,
        release: &Release,
        progress: &Progress,
    ) -> Result<(), DownloadError> {
        let file = cache.unfinished(component);
        let stored = self.store(&file, cache, component, release, progress).await;
        if stored.is_err() {
            let _ = fs::remove_file(&file);
        }
        stored
    }

    async fn store(
        &self,
        file: &Path,
        cache: &Cache,
        component: Component,
        release: &Release,
        progress: &Progress,
    ) -> Result<(), DownloadError> {
        let url = self.url(release);
        transfer(&url, file, cache, component, progress).await?;
        let found = sha256(file)?;
        if found != release.sha256 {
            return Err(DownloadError::Checksum { url, found, pinned: release.sha256.clone() });
        }
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        let is_pinned =
            |version: crate::version::Version| component.pinned().is_some_and(|pinned| version.stands_in_for(&pinned));
        if !version_of(file, component).is_some_and(is_pinned) {
            return Err(DownloadError::Version { url });
        }
        Ok(fs::rename(file, cache.binary(component))?)
    }
}

/// Reads the list of releases.
fn releases(text: &str) -> Vec<Release> {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(Release { component: words.next()?, platform: words.next()?, sha256: words.next()?, url: words.next()? })
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(of_line).collect()
}

/// Fetches a file with `curl`, which knows the proxies and authorities of this machine.
async fn transfer(
    url: &str,
    file: &Path,
    cache: &Cache,
    component: Component,
    progress: &Progress,
) -> Result<(), DownloadError> {
    let curl = SearchPath::of_variable("PATH").and_then(|path| path.file("curl"));
    let log = cache.dir().join("download.log");
    fs::write(&log, "")?;
    let flags = ["--fail", "--location", "--silent", "--show-error", "--connect-timeout", "5", "--retry", "1"];
    // A transfer that stands still ends.
    let limits = ["--speed-limit", "1024", "--speed-time", "20"];
    let mut args: Vec<_> = flags.into_iter().chain(limits).map(Into::into).collect();
    args.extend(["--output".into(), file.into(), "--".into(), url.into()]);
    let launch = Launch {
        name: format!("curl {component}"),
        program: curl.ok_or(DownloadError::NoCurl)?,
        args,
        dir: cache.dir().to_owned(),
        env: Vec::new(),
        log: log.clone(),
        pid_file: None,
    };
    let tick = || {
        let size = fs::metadata(file).map_or(0, |metadata| metadata.len());
        progress.bytes(&format!("downloading {component}"), size);
    };
    let status = Process::run(&launch, tick).await?;
    if status.success() {
        return Ok(());
    }
    let is_of_network = status.code().is_some_and(|code| OF_NETWORK.contains(&code));
    Err(DownloadError::Fetch { url: url.to_owned(), tail: log_tail(&log, 1), is_of_network })
}

fn sha256(file: &Path) -> io::Result<String> {
    let (mut hash, mut file, mut part) = (Sha256::new(), File::open(file)?, vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => break,
            length => hash.update(&part[..length]),
        }
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write as _},
        net::{SocketAddr, TcpListener},
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;

    const PATH: &str = "/example.com/kubectl";

    /// Server that answers each request for [`PATH`] with these bytes, and remembers the paths.
    fn server(body: Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, asked) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(Vec::new())));
        let seen = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).expect("a request");
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = if path == PATH { ("200 OK", &body[..]) } else { ("404 Not Found", &b""[..]) };
                seen.lock().expect("the lock").push(path);
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("an answer");
            }
        });
        (address, asked)
    }

    fn kubectl() -> Vec<u8> {
        let pinned = Component::Kubectl.pinned().expect("a version");
        format!("#!/bin/sh\necho 'Client Version: v{pinned}'\n").into_bytes()
    }

    fn digest(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    fn downloads(mirror: SocketAddr, sha256: &str) -> Downloads {
        let platform = format!("{}/{}", env::consts::OS, env::consts::ARCH);
        let line = format!("kubectl {platform} {sha256} https:/{PATH}\n");
        Downloads { releases: releases(&line), mirror: Some(format!("http://{mirror}/")) }
    }

    async fn fetched(downloads: &Downloads) -> (Vec<Component>, bool) {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::in_folder(Component::Kubectl.go_module(), dir.path());
        fs::create_dir_all(cache.dir().join("bin")).expect("a folder");
        let left = downloads.fetch(&cache, &[Component::Etcd, Component::Kubectl], &Progress::silent()).await;
        let files = fs::read_dir(cache.dir().join("bin")).expect("the folder").count();
        let is_there = version_of(&cache.binary(Component::Kubectl), Component::Kubectl).is_some();
        assert_eq!(files, usize::from(is_there), "nothing else is left");
        (left, is_there)
    }

    #[tokio::test]
    async fn a_file_with_the_pinned_checksum_replaces_a_build() {
        let (mirror, asked) = server(kubectl());
        let (left, is_there) = fetched(&downloads(mirror, &digest(&kubectl()))).await;
        assert_eq!((left, is_there), (vec![Component::Etcd], true));
        assert_eq!(*asked.lock().expect("the lock"), [PATH]);
    }

    #[tokio::test]
    async fn another_file_is_refused_and_the_component_is_built() {
        let both = vec![Component::Etcd, Component::Kubectl];
        let (mirror, _) = server(b"#!/bin/sh\necho 'Client Version: v1.99.0'\n".to_vec());
        assert_eq!(fetched(&downloads(mirror, &digest(&kubectl()))).await, (both.clone(), false));
        let other = digest(b"#!/bin/sh\necho 'Client Version: v1.99.0'\n");
        assert_eq!(fetched(&downloads(mirror, &other)).await, (both, false), "it is of another version");
    }

    #[tokio::test]
    async fn without_a_server_everything_is_built_after_one_attempt() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let both = vec![Component::Etcd, Component::Kubectl];
        assert_eq!(fetched(&downloads(address, &digest(&kubectl()))).await, (both, false));
    }

    #[tokio::test]
    async fn a_file_that_a_server_lacks_stops_no_other_download() {
        let (mirror, _) = server(kubectl());
        let mut downloads = downloads(mirror, &digest(&kubectl()));
        let missing = downloads.releases[0].clone();
        let url = "https://example.com/missing".to_owned();
        downloads.releases.push(Release { component: Component::Etcd.name().to_owned(), url, ..missing });
        assert_eq!(fetched(&downloads).await, (vec![Component::Etcd], true));
    }

    #[test]
    fn pinned_releases_are_of_known_components() {
        let releases = releases(PINNED);
        assert!(!releases.is_empty());
        for release in releases {
            let named = Component::ALL.iter().find(|component| component.name() == release.component);
            let pinned = named.and_then(|component| component.pinned()).expect("a pinned component");
            assert!(release.url.contains(&format!("v{pinned}")), "{release:?} is not of {pinned}");
            assert!(release.sha256.len() == 64 && release.url.starts_with("https://"), "{release:?}");
        }
    }
}
