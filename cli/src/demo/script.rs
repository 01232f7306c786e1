//! Steps of the walk.

use std::path::PathBuf;

use super::{
    checks::{self, Mismatch},
    snapshot::Snapshot,
    talk::Talk,
};

/// Step of the walk: an action of the tenant, and the state that must follow.
pub(super) struct Step {
    pub(super) title: &'static str,
    /// Arguments of kubectl.
    pub(super) commands: Vec<Vec<String>>,
    /// Expected state, in words.
    pub(super) promise: &'static str,
    pub(super) check: fn(&Snapshot) -> Result<(), Mismatch>,
    /// Conversations with a pod after the state is reached.
    pub(super) talks: Vec<Talk>,
}

/// Files that commands refer to.
pub(super) struct Manifests {
    pub(super) mounts: PathBuf,
}

/// Patch that mounts volumes, because kubectl has no command for it.
pub(super) const MOUNTS: &str = "spec:
  template:
    spec:
      containers:
      - name: nginx
        volumeMounts:
        - {name: page, mountPath: /usr/share/nginx/html}
        - {name: password, mountPath: /etc/password}
      volumes:
      - name: page
        configMap: {name: page}
      - name: password
        secret: {secretName: password}
";

pub(super) fn steps(manifests: &Manifests) -> Vec<Step> {
    let mounts = manifests.mounts.to_string_lossy();
    vec![
        Step {
            title: "A Deployment of three pods",
            commands: vec![words("create deployment nginx --image=nginx --replicas=3")],
            promise: "3 pods are Running inside, and each has its copy Running on the same node of the host",
            check: |seen| checks::pods_run(seen, 3),
            talks: Vec::new(),
        },
        Step {
            title: "Into a pod",
            commands: Vec::new(),
            promise: "exec, logs and port-forward reach the pods",
            check: |seen| checks::pods_run(seen, 3),
            talks: talks(),
        },
        Step {
            title: "A Service in front of them",
            commands: vec![words("expose deployment nginx --port=80")],
            promise: "the Service has the same ClusterIP on both sides",
            check: checks::same_cluster_ip,
            talks: Vec::new(),
        },
        Step {
            title: "A ConfigMap and a Secret, which nothing uses yet",
            commands: vec![
                words("create configmap page --from-literal=index.html=hello"),
                words("create secret generic password --from-literal=password=palindrome"),
            ],
            promise: "they exist inside, and the host has no copy of what no pod refers to",
            check: checks::unused_stays_inside,
            talks: Vec::new(),
        },
        Step {
            title: "Both mounted into the pods",
            commands: vec![["patch", "deployment", "nginx", "--patch-file", &mounts].map(str::to_owned).to_vec()],
            promise: "3 new pods run, the host has copies with equal data, and the host pods mount them",
            check: |seen| {
                checks::pods_run(seen, 3)?;
                checks::copies_are_mounted(seen)
            },
            talks: Vec::new(),
        },
        Step {
            title: "Scaled to one",
            commands: vec![words("scale deployment nginx --replicas=1")],
            promise: "1 pod is left on both sides",
            check: |seen| checks::pods_run(seen, 1),
            talks: Vec::new(),
        },
        Step {
            title: "All deleted",
            commands: vec![words("delete deployment/nginx service/nginx configmap/page secret/password")],
            promise: "nothing of it is left on the host",
            check: checks::nothing_is_left,
            talks: Vec::new(),
        },
    ]
}

/// Conversations with the stand-ins, as the playground does not run containers.
fn talks() -> Vec<Talk> {
    let exec = ["exec", "deployment/nginx", "--", "sh", "-c", "echo hello from a pod; exit 0"].map(str::to_owned);
    vec![
        Talk { command: exec.to_vec(), ask: None, expect: "hello from a pod\n" },
        Talk {
            command: words("port-forward deployment/nginx :80"),
            ask: Some("/palindrome"),
            expect: "GET /palindrome",
        },
        Talk { command: words("logs deployment/nginx --tail=1"), ask: None, expect: "GET /palindrome" },
    ]
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
