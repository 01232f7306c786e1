//! The rights that the sockets need.

use tenet_config::Config;
use tenet_mapper::{Kind, Right, Verb, kinds};
use tenet_syncer::role::Need;

use crate::access::{ACCESS_REVIEW, TOKEN_REVIEW};
use crate::aggregation::API_SERVICE;
use crate::kubelet::CERTIFICATE_REQUEST;
use crate::webhook::WEBHOOK;

/// The signers of certificates: a resource for authorization alone.
const SIGNER: Kind = Kind::of("certificates.k8s.io", "v1", "Signer", "signers").cluster_scoped();
/// The resource usage of pods. Its collection is called `pods`, too.
const POD_METRICS: Kind = Kind::of("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");

/// The rights of the sockets that the configuration opens.
pub fn rights(config: &Config) -> Vec<Need> {
    use Verb::{Approve, Create, Delete, Get, List, Patch};
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
    if config.kubelet.enabled {
        need("kubelet", Right::virt(kinds::POD, &[Get, List], "finds the pod of a stream, and the pods of a node"));
        let why = "gets a serving certificate that the virtual API server trusts";
        need("kubelet", Right::virt(CERTIFICATE_REQUEST, &[Get, Create, Delete], why));
        need("kubelet", Right::virt(CERTIFICATE_REQUEST, &[Patch], why).on("approval"));
        need("kubelet", Right::virt(SIGNER, &[Approve], why));
    }
    if config.kubelet.enabled || config.usage.enabled {
        need("access", Right::virt(TOKEN_REVIEW, &[Create], "authenticates bearer tokens"));
        need("access", Right::virt(ACCESS_REVIEW, &[Create], "authorizes requests"));
        need("access", Right::virt(kinds::CONFIG_MAP, &[Get], "reads the authorities of client certificates"));
    }
    if config.webhook.enabled {
        let why = "keeps the webhook of Services registered";
        need("webhook", Right::virt(WEBHOOK, &[Get, Create, Patch, Delete], why));
    }
    if config.usage.enabled {
        let why = "keeps metrics.k8s.io registered while the host measures";
        need("usage", Right::virt(API_SERVICE, Verb::KEEP, why));
        need("usage", Right::virt(kinds::SERVICE, Verb::KEEP, why));
    }
    needs
}

#[cfg(test)]
mod tests {
    use tenet_config::Overrides;
    use tenet_mapper::Side;

    use super::*;

    #[test]
    fn a_socket_that_is_closed_needs_nothing() {
        let text = "name: vc-1\nhost: { namespace: team-a }\nvirtual: { kubeconfig: /virtual }\n";
        let mut config = Config::from_yaml(text, &Overrides::default()).unwrap();
        let resources = |config: &Config| {
            let on_host = rights(config).into_iter().filter(|need| need.right.side == Side::Host);
            let rights = on_host.map(|need| need.right.resource());
            rights.collect::<Vec<_>>()
        };
        assert!(resources(&config).contains(&"pods/exec".to_owned()));
        config.kubelet.enabled = false;
        assert_eq!(resources(&config), ["secrets", "pods"], "certificates, and metrics of pods");
        config.webhook.enabled = false;
        config.usage.enabled = false;
        assert_eq!(resources(&config), [""; 0]);
        assert!(rights(&config).is_empty(), "nothing inside either");
    }
}
