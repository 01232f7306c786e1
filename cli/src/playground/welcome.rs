//! Welcome text that is printed when the playground is up.

use std::{fmt, path::Path};

use crate::kubectl;

/// Values in the welcome text.
pub(crate) struct Welcome<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) virtual_kubeconfig: &'a Path,
    pub(crate) host_kubeconfig: &'a Path,
    pub(crate) namespace: &'a str,
    /// Alias line that selects a fitting `kubectl`.
    pub(crate) alias: Option<String>,
    /// Command that starts a syncer, if none runs.
    pub(crate) syncer: Option<String>,
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_host = format!("kubectl {} -n {}", kubectl::kubeconfig_flag(self.host_kubeconfig), self.namespace);
        writeln!(f, "Inside:       {}", self.virtual_kubeconfig.display())?;
        writeln!(f, "On the host:  {}", self.host_kubeconfig.display())?;
        writeln!(f, "Logs, audit logs and the syncer's configuration are in {}", self.dir.display())?;
        if let Some(command) = &self.syncer {
            writeln!(f, "\nNo syncer runs. This starts one:\n\n  {command}")?;
        }
        writeln!(f, "\nTry next, in another terminal:\n")?;
        if let Some(alias) = &self.alias {
            writeln!(f, "  {alias}")?;
        }
        writeln!(f, "  export KUBECONFIG={}", self.virtual_kubeconfig.display())?;
        for command in [
            "run hello --image=nginx",
            "get pods -o wide",
            "get nodes",
            "create deployment web --image=nginx --replicas=2",
            "expose deployment web --port=80",
            "scale deployment web --replicas=5",
        ] {
            writeln!(f, "  kubectl {command}")?;
        }
        writeln!(f, "  {on_host} get pods,services -o wide")?;
        write!(f, "\nCtrl-C ends every process.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kubeconfigs_and_what_to_do_are_named() {
        let text = Welcome {
            dir: Path::new("/p"),
            virtual_kubeconfig: Path::new("/p/virtual.kubeconfig"),
            host_kubeconfig: Path::new("/p/host.kubeconfig"),
            namespace: "tenet-vc-1",
            alias: None,
            syncer: Some("tenet syncer --config /p/syncer.yaml".to_owned()),
        }
        .to_string();
        for part in [
            "Inside:       /p/virtual.kubeconfig",
            "  tenet syncer --config /p/syncer.yaml\n",
            "  kubectl --kubeconfig /p/host.kubeconfig -n tenet-vc-1 get pods,services -o wide\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
