use serde_json::{Value, json};

use super::{is_vcluster, translate};
use crate::values::load;

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn the_file_of_an_open_source_user_becomes_values_that_are_accepted() {
    let file = read(
        "controlPlane:
  distro:
    k8s: {enabled: true, image: {tag: v1.36.1}, apiServer: {extraArgs: [--v=2]}}
  backingStore:
    etcd:
      deploy: {enabled: true, statefulSet: {persistence: {volumeClaim: {size: 10Gi}}}}
  proxy: {extraSANs: [192.0.2.1, api.example.com]}
  coredns: {enabled: true, deployment: {replicas: 2}}
  service: {spec: {type: NodePort}, httpsNodePort: 30443}
  statefulSet:
    env: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]
    scheduling: {nodeSelector: {pool: system}, priorityClassName: high}
    pods: {labels: {team: a}}
sync:
  toHost:
    pods: {enforceTolerations: ['dedicated=tenants:NoSchedule', spot]}
    ingresses: {enabled: true}
    networkPolicies: {enabled: true}
    secrets: {enabled: true, all: false}
  fromHost:
    nodes: {enabled: true, selector: {all: false}}
    storageClasses: {enabled: true}
networking:
  replicateServices: {fromHost: [{from: team-a/postgres, to: data/postgres}]}
  advanced: {clusterDomain: example.org}
policies: {podSecurityStandard: restricted}
telemetry: {enabled: false}
",
    );
    assert!(is_vcluster(&file));
    let translation = translate(&file);
    assert_eq!(translation.left_out, []);
    assert_eq!(
        translation.values,
        json!({
            "version": "v1.36.1",
            "apiServer": {"extraArgs": ["--v=2"]},
            "store": {"type": "etcd", "size": "10Gi"},
            "expose": {"type": "NodePort", "nodePort": 30443},
            "pod": {"nodeSelector": {"pool": "system"}, "priorityClassName": "high", "labels": {"team": "a"}},
            "rbac": {"clusterRole": true},
            "syncer": {
                "extraArgs": ["--tls-san=192.0.2.1,api.example.com"],
                "env": {"HTTPS_PROXY": "http://proxy:3128"},
                "config": {
                    "coredns": {"enabled": true, "replicas": 2},
                    "dns": {"clusterDomain": "example.org"},
                    "kinds": {"enable": ["ingress", "network-policy"]},
                    "pods": {
                        "level": "restricted",
                        "tolerations": {"add": [
                            {"key": "dedicated", "operator": "Equal", "value": "tenants", "effect": "NoSchedule"},
                            {"key": "spot", "operator": "Exists"},
                        ]},
                    },
                    "replicateServices": {"fromHost": [{"from": "team-a/postgres", "to": "data/postgres"}]},
                    "storage": {"classes": ["*"]},
                },
            },
        })
    );
    load(&[("vcluster.yaml".to_owned(), translation.values.to_string())], &[]).unwrap();
}

#[test]
fn what_has_no_counterpart_is_named_with_its_path() {
    for (text, expected) in [
        (
            "sync: {toHost: {customResources: {a.example.com: {enabled: true}}}}",
            &["sync.toHost.customResources.a.example.com.enabled"][..],
        ),
        ("policies: {resourceQuota: {enabled: true, quota: {count/pods: 20}}}", &["policies.resourceQuota"]),
        ("policies: {resourceQuota: {enabled: false, quota: {count/pods: 20}}}", &[]),
        ("experimental: {multiNamespaceMode: {enabled: true}}", &["experimental.multiNamespaceMode.enabled"]),
        ("controlPlane: {distro: {k3s: {enabled: true, image: {tag: x}}}}", &["controlPlane.distro.k3s.image.tag"]),
        ("controlPlane: {distro: {k3s: {enabled: false, image: {tag: x}}}}", &[]),
        (
            "controlPlane: {statefulSet: {highAvailability: {replicas: 3}}}",
            &["controlPlane.statefulSet.highAvailability.replicas"],
        ),
        ("controlPlane: {ingress: {enabled: true, host: a.example.com}}", &["controlPlane.ingress"]),
        ("sync: {toHost: {secrets: {all: true}}}", &["sync.toHost.secrets.all"]),
        (
            "integrations: {istio: {enabled: true}, kubeVirt: {enabled: false, sync: {a: 1}}}",
            &["integrations.istio.enabled"],
        ),
        ("plugins: {my-plugin: {version: v2, image: x}}", &["plugins.my-plugin.image", "plugins.my-plugin.version"]),
        ("rbac: {clusterRole: {enabled: auto, extraRules: []}}", &[]),
    ] {
        let file = read(text);
        assert!(is_vcluster(&file), "{text}");
        let paths: Vec<String> = translate(&file).left_out.iter().map(|left| left.path.clone()).collect();
        assert_eq!(paths, expected, "{text}");
    }
}

#[test]
fn the_target_namespace_is_that_of_the_workloads() {
    let translation = translate(&read("experimental: {syncSettings: {targetNamespace: other}}"));
    assert_eq!(translation.values, json!({"workloadNamespace": "other"}));
    assert_eq!(translation.left_out, []);
}

#[test]
fn what_a_file_turns_off_is_turned_off() {
    let file = read("sync: {toHost: {services: {enabled: false}}}\ncontrolPlane: {coredns: {enabled: false}}\n");
    let config = &translate(&file).values["syncer"]["config"];
    assert_eq!(config, &json!({"kinds": {"disable": ["service"]}, "coredns": {"enabled": false}}));
}

#[test]
fn values_of_ours_are_not_taken_for_a_file_of_vcluster() {
    for text in ["store: {type: etcd}", "rbac: {clusterRole: true}", "syncer: {extraArgs: [--tls-san=a]}"] {
        assert!(!is_vcluster(&read(text)), "{text}");
    }
}
