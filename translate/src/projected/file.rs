use serde_json::{Value, json};
use thiserror::Error;

/// Default mode of a projected volume in the API.
const DEFAULT_MODE: i64 = 0o644;
/// Mode that only the owner can read; a kubelet adds the group's bit when the pod has an `fsGroup`.
const OWNER_ONLY: i64 = 0o600;
const READABLE: i64 = 0o644;

/// Mode and owner of a file that a kubelet would write by itself, such as a token, in the terms of an item of a
/// `secret` source.
///
/// A kubelet writes such a file with mode 0600 if the pod has an `fsGroup` or the file has an
/// owner, and with `defaultMode` otherwise. The owner is the one user that all containers run as.
/// With an `fsGroup`, the group is set on the whole volume and may read it (0640), for every
/// source. Only the owner is lost: without the feature gate `AtomicWriteVolumeUserFields`
/// (alpha in 1.37, off by default) a `secret` source writes every file as root. So:
///
/// | pod | kubelet | here |
/// |---|---|---|
/// | no `fsGroup`, no common user | root, `defaultMode` | the same |
/// | no `fsGroup`, all run as root | root, 0600 | the same |
/// | `fsGroup`, no common user | root:fsGroup, 0640 | the same |
/// | `fsGroup`, all run as N | N:fsGroup, 0640 | root:fsGroup, 0640; N has the group and may read |
/// | no `fsGroup`, all run as N | N, 0600 | root, 0644 |
///
/// In the last case the file must be readable by others for N to read it at all. The volume is
/// mounted in this pod only, read-only, and all its containers run as N; on the node the kubelet's
/// folder keeps other users out. The loss: a process that changes its user within the
/// pod may not be able to read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectedFile {
    /// Permission bits.
    pub mode: i64,
    /// Owner, for a host with the feature gate.
    pub user: Option<i64>,
}

/// Reason why a file cannot be what the pod asks for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// The pod sets an owner that only the host's kubelet could set.
    #[error("the host cannot give a projected file to user {0}")]
    User(i64),
}

impl ProjectedFile {
    /// Computes the file from the pod's `spec`, the `projected` volume and its source: `serviceAccountToken`,
    /// `clusterTrustBundle` or `podCertificate`. `host_sets_users` tells if the host's API server and kubelets have the
    /// gate `AtomicWriteVolumeUserFields`; then every case is exact.
    ///
    /// `user` of the source and `defaultUser` of the volume exist from 1.37 on, behind the same
    /// gate on the virtual side. They may protect one container's file from another, so without the
    /// host's gate a pod that sets them to a user other than root is refused.
    pub fn of(pod_spec: &Value, projected: &Value, source: &Value, host_sets_users: bool) -> Result<Self, FileError> {
        let number = |value: &Value, field| value.get(field).and_then(Value::as_i64);
        let named = number(source, "user").or_else(|| number(projected, "defaultUser"));
        let owner = named.or_else(|| common_user(pod_spec));
        let group = pod_spec.pointer("/securityContext/fsGroup").and_then(Value::as_i64);
        if owner.is_none() && group.is_none() {
            let mode = number(projected, "defaultMode").unwrap_or(DEFAULT_MODE);
            return Ok(Self { mode, user: None });
        }
        if host_sets_users {
            return Ok(Self { mode: OWNER_ONLY, user: owner });
        }
        match (named, owner) {
            (Some(user), _) if user != 0 => Err(FileError::User(user)),
            (None, Some(user)) if user != 0 && group.is_none() => Ok(Self { mode: READABLE, user: None }),
            _ => Ok(Self { mode: OWNER_ONLY, user: None }),
        }
    }

    /// Returns the source that puts content of a Secret into such files: each with its key and its path. It is not
    /// optional: the pod starts when the content exists.
    pub fn secret_source(self, secret: &str, files: &[(String, String)]) -> Value {
        let item = |(key, path): &(String, String)| {
            let mut item = json!({"key": key, "path": path, "mode": self.mode});
            if let Some(user) = self.user {
                item["user"] = user.into();
            }
            item
        };
        json!({"secret": {"name": secret, "items": files.iter().map(item).collect::<Vec<_>>()}})
    }
}

/// Returns the user that every container runs as, or `None` if they differ or one does not say. A container
/// that does not say runs as the pod's `runAsUser`.
fn common_user(pod_spec: &Value) -> Option<i64> {
    let user = |value: &Value| value.pointer("/securityContext/runAsUser").and_then(Value::as_i64);
    let default = user(pod_spec);
    let mut users = ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .filter_map(|list| pod_spec.get(list).and_then(Value::as_array))
        .flatten()
        .map(|container| user(container).or(default));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(group: Option<i64>, pod_user: Option<i64>, users: &[Option<i64>]) -> Value {
        let container = |user: &Option<i64>| json!({"securityContext": {"runAsUser": user}});
        let (first, rest) = users.split_first().unwrap();
        json!({
            "securityContext": {"fsGroup": group, "runAsUser": pod_user},
            "initContainers": [container(first)],
            "containers": rest.iter().map(container).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn a_file_is_as_readable_as_a_kubelet_makes_it() {
        let projected = json!({"defaultMode": 0o440});
        let (one, two, root) = (Some(1000), Some(2000), Some(0));
        for (pod, mode, with_users) in [
            (pod(None, None, &[None, None]), 0o440, (0o440, None)),
            (pod(None, None, &[one, None]), 0o440, (0o440, None)),
            (pod(None, None, &[None, one]), 0o440, (0o440, None)),
            (pod(None, None, &[one, two]), 0o440, (0o440, None)),
            (pod(None, one, &[two, None]), 0o440, (0o440, None)),
            (pod(None, root, &[None, None]), 0o600, (0o600, root)),
            (pod(None, one, &[None, None]), 0o644, (0o600, one)),
            (pod(None, two, &[one, one]), 0o644, (0o600, one)),
            (pod(None, None, &[one, one]), 0o644, (0o600, one)),
            (pod(Some(5), None, &[None, None]), 0o600, (0o600, None)),
            (pod(Some(5), one, &[None, None]), 0o600, (0o600, one)),
            (pod(Some(0), one, &[None, None]), 0o600, (0o600, one)),
            (json!({}), 0o440, (0o440, None)),
        ] {
            let file = |users| ProjectedFile::of(&pod, &projected, &json!({}), users).unwrap();
            assert_eq!(file(false), ProjectedFile { mode, user: None }, "{pod}");
            assert_eq!(file(true), ProjectedFile { mode: with_users.0, user: with_users.1 }, "{pod}");
        }
        assert_eq!(ProjectedFile::of(&json!({}), &json!({}), &json!({}), false).unwrap().mode, 0o644);
    }

    #[test]
    fn a_file_becomes_a_secret_source() {
        let file = |user| ProjectedFile { mode: 0o600, user };
        let files = |path: &str| [("v.2".to_owned(), path.to_owned())];
        assert_eq!(
            file(None).secret_source("s", &files("vault/token")),
            json!({"secret": {"name": "s", "items": [{"key": "v.2", "path": "vault/token", "mode": 384}]}})
        );
        assert_eq!(file(Some(7)).secret_source("s", &files("t"))["secret"]["items"][0]["user"], 7);
    }

    #[test]
    fn an_owner_that_the_pod_names_is_kept_or_refused() {
        let pod = pod(Some(5), Some(1000), &[None]);
        for (volume, token, user) in [
            (json!({"defaultUser": 7}), json!({}), 7),
            (json!({"defaultUser": 7}), json!({"user": 8}), 8),
            (json!({}), json!({"user": 8}), 8),
        ] {
            assert_eq!(ProjectedFile::of(&pod, &volume, &token, false), Err(FileError::User(user)));
            let file = ProjectedFile { mode: 0o600, user: Some(user) };
            assert_eq!(ProjectedFile::of(&pod, &volume, &token, true), Ok(file));
        }
        let root = ProjectedFile::of(&pod, &json!({}), &json!({"user": 0}), false);
        assert_eq!(root, Ok(ProjectedFile { mode: 0o600, user: None }));
    }
}
