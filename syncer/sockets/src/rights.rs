//! The rights on the host that the sockets need.

use tenet_config::Config;
use tenet_mapper::{Kind, Right, Verb, kinds};
use tenet_syncer::role::Need;

/// The resource usage of pods. Its collection is called `pods`, too.
const POD_METRICS: Kind = Kind::of("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");

/// The rights of the sockets that the configuration opens.
pub fn rights(config: &Config) -> Vec<Need> {
    use Verb::{Create, Get, List, Patch};
    let mut needs = Vec::new();
    let mut need = |by, right| needs.push(Need { by, right });
    if config.kubelet.enabled || config.webhook.enabled || config.usage.enabled {
        let right = Right::host(kinds::SECRET, &[Get, Create, Patch], "keeps the certificates of the sockets");
        need("sockets", right);
    }
    if config.kubelet.enabled {
        need("kubelet", Right::host(kinds::POD, &[Get], "proves which pod a stream leads to"));
        for (subresource, why) in [
            ("exec", "kubectl exec and cp; WebSocket clients ask with `get`"),
            ("attach", "kubectl attach and debug; WebSocket clients ask with `get`"),
            ("portforward", "kubectl port-forward; WebSocket clients ask with `get`"),
        ] {
            need("kubelet", Right::host(kinds::POD, &[Create, Get], why).on(subresource));
        }
        need("kubelet", Right::host(kinds::POD, &[Get], "kubectl logs").on("log"));
    }
    if config.kubelet.enabled || config.usage.enabled {
        let why = "kubectl top and autoscalers inside; without it there are none";
        need("usage", Right::host(POD_METRICS, &[List], why).optional());
    }
    needs
}

#[cfg(test)]
mod tests {
    use tenet_config::Overrides;

    use super::*;

    #[test]
    fn a_socket_that_is_closed_needs_nothing() {
        let text = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /virtual }\n";
        let mut config = Config::from_yaml(text, &Overrides::default()).unwrap();
        let resources = |config: &Config| {
            let rights = rights(config).into_iter().map(|need| need.right.resource());
            rights.collect::<Vec<_>>()
        };
        assert!(resources(&config).contains(&"pods/exec".to_owned()));
        config.kubelet.enabled = false;
        assert_eq!(resources(&config), ["secrets", "pods"], "certificates, and metrics of pods");
        config.webhook.enabled = false;
        config.usage.enabled = false;
        assert_eq!(resources(&config), [""; 0]);
    }
}
