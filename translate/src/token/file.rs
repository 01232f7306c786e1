use serde_json::Value;
use thiserror::Error;

/// Default mode of a projected volume in the API.
const DEFAULT_MODE: i64 = 0o644;
/// Mode that only the owner can read; a kubelet adds the group's bit when the pod has an `fsGroup`.
const OWNER_ONLY: i64 = 0o600;
const READABLE: i64 = 0o644;

/// Mode and owner of a token's file, in the terms of an item of a `secret` source.
///
/// A kubelet writes a projected token with mode 0600 if the pod has an `fsGroup` or the file has an
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
/// pod may not be able to read the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// Permission bits.
    pub mode: i64,
    /// Owner, for a host with the feature gate.
    pub user: Option<i64>,
}

/// Reason why a token's file cannot be what the pod asks for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// The pod sets an owner that only the host's kubelet could set.
    #[error("the host cannot give a projected file to user {0}")]
    User(i64),
}

impl TokenFile {
    /// Computes the file of a token from the pod's `spec`, the `projected` volume and its
    /// `serviceAccountToken` source. `host_sets_users` tells if the host's API server and kubelets
    /// have the gate `AtomicWriteVolumeUserFields`; then every case is exact.
    ///
    /// `user` of the source and `defaultUser` of the volume exist from 1.37 on, behind the same
    /// gate on the virtual side. They may protect one container's token from another, so without the
    /// host's gate a pod that sets them to a user other than root is refused.
    pub fn of(pod_spec: &Value, projected: &Value, token: &Value, host_sets_users: bool) -> Result<Self, FileError> {
        let number = |value: &Value, field| value.get(field).and_then(Value::as_i64);
        let named = number(token, "user").or_else(|| number(projected, "defaultUser"));
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
    use serde_json::json;

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
    fn a_token_is_as_readable_as_a_kubelet_makes_it() {
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
            let file = |users| TokenFile::of(&pod, &projected, &json!({}), users).unwrap();
            assert_eq!(file(false), TokenFile { mode, user: None }, "{pod}");
            assert_eq!(file(true), TokenFile { mode: with_users.0, user: with_users.1 }, "{pod}");
        }
        assert_eq!(TokenFile::of(&json!({}), &json!({}), &json!({}), false).unwrap().mode, 0o644);
    }

    #[test]
    fn an_owner_that_the_pod_names_is_kept_or_refused() {
        let pod = pod(Some(5), Some(1000), &[None]);
        for (volume, token, user) in [
            (json!({"defaultUser": 7}), json!({}), 7),
            (json!({"defaultUser": 7}), json!({"user": 8}), 8),
            (json!({}), json!({"user": 8}), 8),
        ] {
            assert_eq!(TokenFile::of(&pod, &volume, &token, false), Err(FileError::User(user)));
            let file = TokenFile { mode: 0o600, user: Some(user) };
            assert_eq!(TokenFile::of(&pod, &volume, &token, true), Ok(file));
        }
        let root = TokenFile::of(&pod, &json!({}), &json!({"user": 0}), false);
        assert_eq!(root, Ok(TokenFile { mode: 0o600, user: None }));
    }
}
