use std::borrow::Cow;

use super::Globs;
use crate::digest;

/// Keys that controllers of a host act on. A tenant who sets one could have an object pruned, a sidecar injected, an
/// identity lent or a pod queued.
const DENIED: &[&str] = &[
    // Delivery tools prune what carries their labels and is not in their source.
    "argocd.argoproj.io/*",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "helm.sh/*",
    "meta.helm.sh/*",
    "*.toolkit.fluxcd.io/*",
    "config.k8s.io/*",
    "cli-utils.sigs.k8s.io/*",
    "objectset.rio.cattle.io/*",
    "*.fleet.cattle.io/*",
    "velero.io/*",
    // Injectors change pods.
    "istio.io/*",
    "*.istio.io/*",
    "linkerd.io/*",
    "*.linkerd.io/*",
    "*.hashicorp.com/*",
    "dapr.io/*",
    "kuma.io/*",
    "*.opentelemetry.io/*",
    "*.datadoghq.com/*",
    // Workload identity lends the rights of an account in the cloud.
    "azure.workload.identity/*",
    "aadpodidbinding",
    "iam.gke.io/*",
    "eks.amazonaws.com/*",
    "spiffe.io/*",
    // Queues and schedulers hold pods back, and count them for a queue or a group.
    "kueue.x-k8s.io/*",
    "*.kueue.x-k8s.io/*",
    "scheduling.x-k8s.io/*",
    "volcano.sh/*",
    "*.volcano.sh/*",
    "yunikorn.apache.org/*",
    "*.yunikorn.apache.org/*",
    "kai.scheduler/*",
    // Policy engines exempt objects by label.
    "kyverno.io/*",
    "*.kyverno.io/*",
    "gatekeeper.sh/*",
    "*.gatekeeper.sh/*",
    "policy.sigstore.dev/*",
];

/// Domain of the keys that denied ones have on the host. It is not a reserved one: only the syncer may set those.
const RENAMED: &str = "labels.tenet";
/// Maximum length of a label key behind its domain.
const MAX_NAME: usize = 63;

/// Policy for the keys of labels: a denied key crosses under another name, in labels and selectors alike, so selectors
/// match what they match inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPolicy {
    allow: Globs,
    deny: Globs,
}

impl Default for LabelPolicy {
    /// The policy that denies the keys that controllers of a host are known to act on.
    fn default() -> Self {
        Self::new([""; 0], Self::DENIED)
    }
}

impl LabelPolicy {
    /// The keys that are denied by default.
    pub const DENIED: &[&str] = DENIED;

    /// Creates a policy: keys that match `deny` are denied, and when `allow` is not empty, all keys that do not match
    /// it.
    pub fn new<A: AsRef<str>, D: AsRef<str>>(
        allow: impl IntoIterator<Item = A>,
        deny: impl IntoIterator<Item = D>,
    ) -> Self {
        Self { allow: Globs::new(allow), deny: Globs::new(deny) }
    }

    /// Returns the key of a label on the host.
    ///
    /// ```
    /// use tenet_translate::labels::LabelPolicy;
    ///
    /// let policy = LabelPolicy::default();
    /// assert_eq!(policy.host_key("app"), "app");
    /// assert_eq!(policy.host_key("argocd.argoproj.io/instance"), "labels.tenet/argocd.argoproj.io_instance");
    /// ```
    pub fn host_key<'k>(&self, key: &'k str) -> Cow<'k, str> {
        if self.is_denied(key) { Cow::Owned(renamed(key)) } else { Cow::Borrowed(key) }
    }

    /// Keys in the domain of renamed ones are denied, too, so no two keys are one on the host.
    fn is_denied(&self, key: &str) -> bool {
        let domain = key.split_once('/').map(|(domain, _)| domain);
        domain.is_some_and(|domain| domain.eq_ignore_ascii_case(RENAMED))
            || self.deny.matches(key)
            || (!self.allow.is_empty() && !self.allow.matches(key))
    }
}

/// Returns the other name of a key. A domain has no underscore, so the first one separates it from the rest; a hashed
/// name has none at all.
fn renamed(key: &str) -> String {
    if let Some((domain, name)) = key.split_once('/')
        && domain.len() + 1 + name.len() <= MAX_NAME
        && !domain.contains('_')
    {
        return format!("{RENAMED}/{domain}_{name}");
    }
    let shown = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let prefix: String = key.chars().filter(|c| shown(*c)).take(MAX_NAME - 1 - digest::LENGTH).collect();
    let prefix = prefix.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let digest = digest::of_parts("tenet.sh/label", &[key]);
    if prefix.is_empty() { format!("{RENAMED}/{digest}") } else { format!("{RENAMED}/{prefix}-{digest}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::is_reserved;

    #[test]
    fn keys_that_controllers_of_the_host_act_on_are_renamed_and_all_others_cross() {
        let policy = LabelPolicy::default();
        for (key, expected) in [
            ("app", "app"),
            ("app.kubernetes.io/name", "app.kubernetes.io/name"),
            ("job-name", "job-name"),
            ("app.kubernetes.io/managed-by", "labels.tenet/app.kubernetes.io_managed-by"),
            ("app.kubernetes.io/instance", "labels.tenet/app.kubernetes.io_instance"),
            ("sidecar.istio.io/inject", "labels.tenet/sidecar.istio.io_inject"),
            ("azure.workload.identity/use", "labels.tenet/azure.workload.identity_use"),
            ("kueue.x-k8s.io/queue-name", "labels.tenet/kueue.x-k8s.io_queue-name"),
            // A renamed key cannot be set by hand.
            ("labels.tenet/app.kubernetes.io_instance", "labels.tenet/labels.tenet_app.kubernetes.io_instance"),
        ] {
            assert_eq!(policy.host_key(key), expected);
        }
    }

    #[test]
    fn an_allow_list_denies_all_others() {
        let policy = LabelPolicy::new(["app", "example.com/*"], ["example.com/secret"]);
        assert_eq!(policy.host_key("app"), "app");
        assert_eq!(policy.host_key("example.com/team"), "example.com/team");
        assert_ne!(policy.host_key("tier"), "tier");
        assert_ne!(policy.host_key("example.com/secret"), "example.com/secret", "denied all the same");
        assert_eq!(
            LabelPolicy::new([""; 0], [""; 0]).host_key("argocd.argoproj.io/instance"),
            "argocd.argoproj.io/instance"
        );
    }

    fn is_label_key(key: &str) -> bool {
        let Some((domain, name)) = key.split_once('/') else { return false };
        let ends = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        let body = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&c);
        domain == RENAMED && ends(name) && name.chars().all(body) && name.len() <= MAX_NAME
    }

    proptest! {
        #[test]
        fn other_names_are_keys_and_two_keys_never_have_one(
            a in "([a-z0-9][a-z0-9.-]{0,70}[a-z0-9]/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,60}[A-Za-z0-9]",
            b in "([a-z0-9][a-z0-9.-]{0,3}[a-z0-9]/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,3}[A-Za-z0-9]",
            c in "([a-z0-9][a-z0-9.-]{0,3}[a-z0-9]/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,3}[A-Za-z0-9]",
        ) {
            for key in [&a, &b, &c] {
                let other = renamed(key);
                prop_assert!(is_label_key(&other) && !is_reserved(&other), "{key}: {other}");
            }
            prop_assert_eq!(b == c, renamed(&b) == renamed(&c));
        }
    }
}
