use std::path::Path;

use super::*;
use crate::known::built_in;

mod fields;

const BASE: &str = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /v }\n";

/// A file on disk, a live configuration loaded from it, and the reloader between them.
struct Bed {
    folder: tempfile::TempDir,
    live: Live,
    reloader: Reloader,
}

impl Bed {
    fn new(overrides: Overrides) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenet.yaml");
        fs::write(&path, BASE).unwrap();
        let live = Live::new(Config::load_knowing(Some(&path), &overrides, &built_in()).unwrap());
        let reloader = Reloader::new(live.clone(), path, overrides).knowing(built_in());
        Self { folder, live, reloader }
    }

    fn path(&self) -> &Path {
        &self.reloader.path
    }

    /// Writes the valid lines and `more`, and polls.
    fn poll(&mut self, more: &str) -> ReloadOutcome {
        fs::write(self.path(), format!("{BASE}{more}")).unwrap();
        self.reloader.check()
    }
}

fn reloaded(applied: &[&str], deferred: &[(&str, &str, &str)]) -> ReloadOutcome {
    let deferred = deferred.iter().map(|(field, from, to)| Deferred {
        field: (*field).to_owned(),
        from: (*from).to_owned(),
        to: (*to).to_owned(),
    });
    ReloadOutcome::Reloaded { applied: applied.iter().map(ToString::to_string).collect(), deferred: deferred.collect() }
}

#[test]
fn of_a_mixed_change_what_can_be_applied_is() {
    let mut bed = Bed::new(Overrides::default());
    let outcome = bed.poll("engine: { workers: 64, maxInFlight: 5 }\nlog: { level: warn, format: json }\n");
    let waits = [("engine.workers", "32", "64"), ("log.format", "\"text\"", "\"json\"")];
    assert_eq!(outcome, reloaded(&["engine.maxInFlight", "log.level"], &waits));
    let now = bed.live.get();
    assert_eq!((now.engine.workers, now.engine.max_in_flight), (32, 5));
    assert_eq!(now.log.level, "warn");

    let outcome = bed.poll("engine: { maxInFlight: 5 }\nlog: { level: warn }\n");
    assert_eq!(outcome, ReloadOutcome::Unchanged, "the file is back at what is in force");
}

#[test]
fn a_file_that_says_the_same_changes_nothing() {
    let mut bed = Bed::new(Overrides::default());
    let before = bed.live.get();
    assert_eq!(bed.reloader.check(), ReloadOutcome::Unchanged);
    assert_eq!(bed.poll("# a comment\nengine: { workers: 32 }\n"), ReloadOutcome::Unchanged);
    assert!(Arc::ptr_eq(&before, &bed.live.get()));
}

#[test]
fn a_change_between_loading_and_the_first_poll_is_seen() {
    let mut bed = Bed::new(Overrides::default());
    assert_eq!(bed.poll("unknownFields: drop\n"), reloaded(&["unknownFields"], &[]));
}

#[test]
fn a_bad_file_is_refused_once_and_the_old_configuration_stays() {
    let mut bed = Bed::new(Overrides::default());
    let before = bed.live.get();
    let ReloadOutcome::Refused(problems) = bed.poll("log: { level: loud }\nunknownFields: drop\n") else {
        panic!("a bad file is refused");
    };
    let expected = format!("{}:4:15: log.level: ", bed.path().display());
    assert!(problems.to_string().starts_with(&expected), "{problems}");
    assert_eq!(bed.reloader.check(), ReloadOutcome::Unchanged);
    assert_eq!(bed.live.get(), before);
    assert_eq!(bed.poll("unknownFields: drop\n"), reloaded(&["unknownFields"], &[]));
}

#[test]
fn a_file_that_went_away_is_said_once_and_noticed_when_it_is_back() {
    let mut bed = Bed::new(Overrides::default());
    fs::remove_file(bed.path()).unwrap();
    let expected = format!("{}: No such file or directory (os error 2)", bed.path().display());
    assert!(matches!(bed.reloader.check(), ReloadOutcome::Refused(problems) if problems.to_string() == expected));
    assert_eq!(bed.reloader.check(), ReloadOutcome::Unchanged);
    assert_eq!(bed.poll("unknownFields: drop\n"), reloaded(&["unknownFields"], &[]));
}

#[test]
fn a_flag_stands_above_the_file_that_is_read_again() {
    let overrides = Overrides { log_level: Some("trace".to_owned()), ..Overrides::default() };
    let mut bed = Bed::new(overrides);
    assert_eq!(bed.poll("log: { level: warn }\n"), ReloadOutcome::Unchanged);
    assert_eq!(bed.live.get().log.level, "trace");
}

#[cfg(unix)]
#[test]
fn the_swap_of_a_configmap_volume_is_seen() {
    use std::os::unix::fs::symlink;

    let mut bed = Bed::new(Overrides::default());
    let folder = bed.folder.path().to_owned();
    for (version, line) in [("1", ""), ("2", "unknownFields: drop\n")] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("tenet.yaml"), format!("{BASE}{line}")).unwrap();
    }
    fs::remove_file(bed.path()).unwrap();
    symlink(folder.join("..data/tenet.yaml"), bed.path()).unwrap();
    symlink("1", folder.join("..data")).unwrap();
    assert_eq!(bed.reloader.check(), ReloadOutcome::Unchanged);
    symlink("2", folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    assert_eq!(bed.reloader.check(), reloaded(&["unknownFields"], &[]));
}
