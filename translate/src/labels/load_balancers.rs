//! Annotations with which a tenant shapes a load balancer of a cloud.

/// Beginnings of the keys that shape a load balancer.
const BEGINNINGS: &[&str] = &[
    "cloud.google.com/",
    "io.cilium/lb-ipam-",
    "kube-vip.io/",
    "kubernetes.civo.com/",
    "kubernetes.io/elb.",
    "lbipam.cilium.io/",
    "load-balancer.hetzner.cloud/",
    "loadbalancer.openstack.org/",
    "metallb.io/",
    "metallb.universe.tf/",
    "networking.gke.io/",
    "oci-network-load-balancer.oraclecloud.com/",
    "oci.oraclecloud.com/",
    "service.beta.kubernetes.io/",
    "service.cloud.tencent.com/",
    "service.kubernetes.io/",
];

/// Keys with such a beginning that shape none.
const OTHERS: &[&str] = &[
    "cloud.google.com/app-protocols",
    "cloud.google.com/backend-config",
    "cloud.google.com/neg",
    "cloud.google.com/neg-status",
    "service.kubernetes.io/topology-aware-hints",
    "service.kubernetes.io/topology-mode",
];

/// Globs of the keys of the big clouds that say of what kind a load balancer is: internal or public, its protocol, its
/// health checks. Keys that name something of the cloud account (certificates, buckets, security groups, addresses,
/// subnets) are not among them.
pub const LOAD_BALANCERS: &[&str] = &[
    "cloud.google.com/l4-rbs",
    "cloud.google.com/load-balancer-type",
    "cloud.google.com/network-tier",
    "load-balancer.hetzner.cloud/algorithm-type",
    "load-balancer.hetzner.cloud/disable-*",
    "load-balancer.hetzner.cloud/health-check-*",
    "load-balancer.hetzner.cloud/location",
    "load-balancer.hetzner.cloud/network-zone",
    "load-balancer.hetzner.cloud/protocol",
    "load-balancer.hetzner.cloud/type",
    "load-balancer.hetzner.cloud/use-private-ip",
    "load-balancer.hetzner.cloud/uses-proxyprotocol",
    "loadbalancer.openstack.org/proxy-protocol",
    "loadbalancer.openstack.org/timeout-*",
    "networking.gke.io/internal-load-balancer-allow-global-access",
    "networking.gke.io/load-balancer-type",
    "networking.gke.io/weighted-load-balancing",
    "oci.oraclecloud.com/load-balancer-type",
    "oci-network-load-balancer.oraclecloud.com/internal",
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type",
    "service.beta.kubernetes.io/aws-load-balancer-alpn-policy",
    "service.beta.kubernetes.io/aws-load-balancer-backend-protocol",
    "service.beta.kubernetes.io/aws-load-balancer-connection-*",
    "service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled",
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-*",
    "service.beta.kubernetes.io/aws-load-balancer-internal",
    "service.beta.kubernetes.io/aws-load-balancer-ip-address-type",
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type",
    "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol",
    "service.beta.kubernetes.io/aws-load-balancer-scheme",
    "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes",
    "service.beta.kubernetes.io/aws-load-balancer-type",
    "service.beta.kubernetes.io/azure-load-balancer-disable-tcp-reset",
    "service.beta.kubernetes.io/azure-load-balancer-health-probe-*",
    "service.beta.kubernetes.io/azure-load-balancer-internal",
    "service.beta.kubernetes.io/azure-load-balancer-tcp-idle-timeout",
    "service.beta.kubernetes.io/do-loadbalancer-enable-proxy-protocol",
    "service.beta.kubernetes.io/do-loadbalancer-healthcheck-*",
    "service.beta.kubernetes.io/do-loadbalancer-network",
    "service.beta.kubernetes.io/do-loadbalancer-protocol",
    "service.beta.kubernetes.io/do-loadbalancer-type",
    "service.beta.kubernetes.io/oci-load-balancer-internal",
    "service.beta.kubernetes.io/oci-load-balancer-shape*",
    "service.beta.kubernetes.io/openstack-internal-load-balancer",
    "service.beta.kubernetes.io/scw-loadbalancer-private",
    "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type",
];

/// Returns true if an annotation with this key shapes a load balancer.
pub fn shapes_load_balancer(key: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| key.starts_with(beginning)) && !OTHERS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Globs;

    #[test]
    fn every_key_of_the_preset_shapes_a_load_balancer() {
        for glob in LOAD_BALANCERS {
            assert!(shapes_load_balancer(glob), "{glob}");
        }
        let preset = Globs::new(LOAD_BALANCERS);
        for other in OTHERS {
            assert!(!shapes_load_balancer(other) && !preset.matches(other), "{other}");
        }
    }

    #[test]
    fn what_names_something_of_the_cloud_account_is_not_in_the_preset() {
        let preset = Globs::new(LOAD_BALANCERS);
        for (key, is_allowed) in [
            ("service.beta.kubernetes.io/aws-load-balancer-scheme", true),
            ("service.beta.kubernetes.io/azure-load-balancer-internal", true),
            ("networking.gke.io/load-balancer-type", true),
            ("service.beta.kubernetes.io/aws-load-balancer-ssl-cert", false),
            ("service.beta.kubernetes.io/aws-load-balancer-security-groups", false),
            ("service.beta.kubernetes.io/azure-load-balancer-resource-group", false),
            ("metallb.io/allow-shared-ip", false),
        ] {
            assert_eq!(preset.matches(key), is_allowed, "{key}");
            assert!(shapes_load_balancer(key), "{key}");
        }
    }
}
