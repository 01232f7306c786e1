//! Requirements on the machine, changes to it, and their removal.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use super::{RealNodeError, cluster_network::NAMESPACES, network};

const CGROUPS: &str = "/sys/fs/cgroup";
pub(super) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// Number of inotify instances that the user of all nodes may have. A kubelet and each API server take six, and the
/// default of 128 is used up by a few control planes beside several nodes.
const INOTIFY_INSTANCES: &str = "fs/inotify/max_user_instances";
const INSTANCES: u32 = 1024;

/// Kernel settings that a kubelet, or the start of a node, changes.
const KERNEL_SETTINGS: [&str; 7] = [
    INOTIFY_INSTANCES,
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Programs found on the machine.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) busybox: PathBuf,
}

/// Checks that this machine can run a real node; the error names the missing requirement.
pub(super) fn check() -> Result<Programs, RealNodeError> {
    let lacking = |why: String| Err(RealNodeError::Machine(why));
    if !rustix::process::geteuid().is_root() {
        return lacking("root is required".to_owned());
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
        self::program(program, package)?;
    }
    if !Path::new(CNI_PLUGINS).join("bridge").exists() {
        return lacking(format!(
            "the CNI plugin bridge is missing in {CNI_PLUGINS} (Debian: apt-get install containernetworking-plugins)"
        ));
    }
    if let Err(why) = layers_in_a_namespace() {
        return lacking(format!("cannot create namespaces with overlay mounts: {}", why.trim()));
    }
    Ok(Programs { busybox: find("busybox").unwrap_or_default() })
}

/// Checks that this machine can lead the addresses of Services to pods.
pub(super) fn check_services() -> Result<(), RealNodeError> {
    // The rules of kube-proxy, in a network namespace that ends with the program.
    const PROBE: &str = "iptables -w -t nat -A OUTPUT -p tcp -m comment --comment probe -m statistic --mode random \
                         --probability 0.5 -j DNAT --to-destination 192.0.2.1:80";
    for plugin in ["portmap", "ptp"] {
        if !Path::new(CNI_PLUGINS).join(plugin).exists() {
            return Err(RealNodeError::Machine(format!(
                "the CNI plugin {plugin} is missing in {CNI_PLUGINS} (Debian: apt-get install containernetworking-plugins)"
            )));
        }
    }
    program("iptables", "iptables")?;
    run("unshare", ["--net", "sh", "-c", PROBE])
        .map_err(|why| RealNodeError::Machine(format!("cannot use iptables in a namespace: {}", why.trim())))
}

/// Checks that namespaces and overlay mounts work. Not every container may create namespaces, and an overlay cannot
/// be stacked on every folder.
fn layers_in_a_namespace() -> Result<(), String> {
    const PROBE: &str =
        r#"cd "$0" && mkdir low up work all && mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work all"#;
    let dir = TempDir::with_prefix("tenet-probe-").map_err(|error| error.to_string())?;
    let namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", PROBE].map(OsStr::new);
    run("unshare", namespaces.into_iter().chain([dir.path().as_os_str()]))
}

/// Lets the nodes watch as many files as they need. What a machine forbids may still be enough.
pub(super) fn raise_limits() {
    let path = Path::new("/proc/sys").join(INOTIFY_INSTANCES);
    let present = fs::read_to_string(&path).ok().and_then(|value| value.trim().parse().ok());
    if present.is_some_and(|present: u32| present < INSTANCES) {
        let _ = fs::write(&path, INSTANCES.to_string());
    }
}

/// Creates a cgroup in every hierarchy, for all processes of the node.
pub(super) fn create_cgroup(name: &str) -> Result<(), RealNodeError> {
    let failed = |path: &Path, why| RealNodeError::Machine(format!("{} cannot be created: {why}", path.display()));
    for hierarchy in hierarchies() {
        let cgroup = hierarchy.join(name);
        fs::create_dir_all(&cgroup).map_err(|why| failed(&cgroup, why))?;
        // In cgroup v1, a cgroup without processors and memory nodes accepts no process.
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

/// Returns the cgroup folders: one for cgroup v2, one for each controller of v1.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        // A cgroup can only limit resources that its parent delegates.
        let _ = fs::write(root.join("cgroup.subtree_control"), "+cpuset +cpu +memory +pids");
        return vec![root.to_owned()];
    }
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.filter(|path| path.join("cgroup.procs").exists()).collect()
}

/// Script that restores the kernel settings and removes the cgroups, once their processes have ended, the network
/// namespace of a node that has its own, and the link. The link is last: while it exists, no other node takes its name.
pub(super) fn undo_script(dir: &Path) -> String {
    // As they were before the first node of this program.
    static SETTINGS: OnceLock<String> = OnceLock::new();
    let settings = SETTINGS.get_or_init(|| {
        let restored = KERNEL_SETTINGS.into_iter().filter_map(|name| {
            let path = format!("/proc/sys/{name}");
            let value = fs::read_to_string(&path).ok()?;
            Some(format!("echo {} > {path}\n", value.trim()))
        });
        restored.collect()
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
[ ! -e {NAMESPACES}/\"$bridge\" ] || ip netns delete \"$bridge\"
ip link delete \"$bridge\"
",
        settings,
        dir.join(network::NAME).display(),
    )
}

/// Runs a program to its end. The error is its standard error.
pub(super) fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Result<(), String> {
    let found = find(program).ok_or_else(|| format!("{program} is not installed"))?;
    let output = Command::new(found).args(args).env("PATH", path()).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the path of a program of this machine. The error names the Debian package that has it.
pub fn program(name: &str, package: &str) -> Result<PathBuf, RealNodeError> {
    let missing = || RealNodeError::Machine(format!("{name} is not installed (Debian: apt-get install {package})"));
    find(name).ok_or_else(missing)
}

/// Returns the path of a program.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Returns PATH with the folders of administration programs, which not every user has in it.
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
