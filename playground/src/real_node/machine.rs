//! What a machine must have, what is made on it, and how that is undone.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{RealNodeError, network};

const CGROUPS: &str = "/sys/fs/cgroup";
pub(super) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// What a kubelet sets on the machine.
const KERNEL_SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// What was found.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) busybox: PathBuf,
}

/// Whether this machine can have a real node; otherwise the reason.
pub(super) fn check() -> Result<Programs, RealNodeError> {
    let lacking = |why: String| Err(RealNodeError::Machine(why));
    if !rustix::process::geteuid().is_root() {
        return lacking("that takes root".to_owned());
    }
    for (program, package) in [
        ("containerd", "containerd"),
        ("ctr", "containerd"),
        ("runc", "runc"),
        ("busybox", "busybox-static"),
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
    ] {
        if find(program).is_none() {
            return lacking(format!("there is no {program} (Debian: apt-get install {package})"));
        }
    }
    if !Path::new(CNI_PLUGINS).join("bridge").exists() {
        return lacking(format!("{CNI_PLUGINS} has no bridge (Debian: apt-get install containernetworking-plugins)"));
    }
    if let Err(why) = layers_in_a_namespace() {
        return lacking(format!("namespaces and layered folders are not to be had: {}", why.trim()));
    }
    Ok(Programs { busybox: find("busybox").unwrap_or_default() })
}

/// Not every container may make namespaces, and a folder of layers is no place for another one.
fn layers_in_a_namespace() -> Result<(), String> {
    const PROBE: &str =
        r#"cd "$0" && mkdir low up work all && mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work all"#;
    let dir = TempDir::with_prefix("tenet-probe-").map_err(|error| error.to_string())?;
    let namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", PROBE].map(OsStr::new);
    run("unshare", namespaces.into_iter().chain([dir.path().as_os_str()]))
}

/// A cgroup of our own in every hierarchy, for all that the node runs.
pub(super) fn create_cgroup(name: &str) -> Result<(), RealNodeError> {
    let failed = |path: &Path, why| RealNodeError::Machine(format!("{} cannot be created: {why}", path.display()));
    for hierarchy in hierarchies() {
        let cgroup = hierarchy.join(name);
        fs::create_dir_all(&cgroup).map_err(|why| failed(&cgroup, why))?;
        // Without processors and memory banks of its own, a cgroup of the first version takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(parents) = fs::read_to_string(hierarchy.join(file))
                && fs::read_to_string(cgroup.join(file)).is_ok_and(|own| own.trim().is_empty())
            {
                let _ = fs::write(cgroup.join(file), parents);
            }
        }
    }
    Ok(())
}

/// One folder with the second version of cgroups; one for each controller with the first.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        // What the parent does not hand down, no cgroup of ours can limit.
        let _ = fs::write(root.join("cgroup.subtree_control"), "+cpuset +cpu +memory +pids");
        return vec![root.to_owned()];
    }
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.filter(|path| path.join("cgroup.procs").exists()).collect()
}

/// Gives back the kernel's settings, and removes the cgroups, once the processes in them are gone, and the bridge: as
/// long as that is there, no other node takes the name.
pub(super) fn undo_script(dir: &Path) -> String {
    let settings = KERNEL_SETTINGS.into_iter().filter_map(|name| {
        let path = format!("/proc/sys/{name}");
        let value = fs::read_to_string(&path).ok()?;
        Some(format!("echo {} > {path}\n", value.trim()))
    });
    format!(
        "PATH=$PATH:/usr/sbin:/sbin
{}bridge=$(cat '{}') || exit 0
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
  left=
  for cgroup in {CGROUPS}/\"$bridge\" {CGROUPS}/*/\"$bridge\"; do
    [ -d \"$cgroup\" ] || continue
    find \"$cgroup\" -depth -type d -exec rmdir {{}} \\;
    left=yes
  done
  [ -n \"$left\" ] || break
  sleep 0.2
done
ip link delete \"$bridge\"
",
        settings.collect::<String>(),
        dir.join(network::NAME).display(),
    )
}

/// Runs a program to its end; what it complains about is the error.
pub(super) fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Result<(), String> {
    let found = find(program).ok_or_else(|| format!("there is no {program}"))?;
    let output = Command::new(found).args(args).env("PATH", path()).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The path of a program.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// PATH, and the folders for the administrator's programs, which not every user has in it.
pub(super) fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_was_made_there_is_nothing_to_undo() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = dir.path().join("undo.sh");
        fs::write(&script, undo_script(dir.path())).expect("a file");
        for _ in 0..2 {
            assert_eq!(run("sh", [&script]), Ok(()));
        }
    }
}
