use serde_json::json;
use tenet_mapper::keys::DIGEST;
use tenet_mapper::testing::{CLUSTER, Clusters};
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::translate::{NameScheme, Names};
use tenet_mapper::{Facts, Mapper};

use super::*;

fn secret(kind: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Secret
metadata:
  name: key
  namespace: shop
  uid: u-1
  annotations: {{kubernetes.io/service-account.name: builder}}
data: {{token: c2VjcmV0}}
type: {kind}"
    )
}

fn clusters(kind: &str) -> Clusters {
    Clusters::default().with(Side::Virtual, &secret(kind)).referenced(kinds::SECRET, "shop", "key")
}

fn converge(clusters: &mut Clusters) -> usize {
    clusters.converge(&mapper(), "shop", "key").unwrap()
}

fn host(clusters: &Clusters) -> Option<&Object> {
    clusters.object(Side::Host, kinds::SECRET, "team-a", "key-x-shop-x-vc-1")
}

#[test]
fn a_type_that_pods_and_ingress_do_not_need_crosses_as_opaque() {
    for (kind, expected) in [
        ("Opaque", "Opaque"),
        ("kubernetes.io/tls", "kubernetes.io/tls"),
        ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockerconfigjson"),
        ("kubernetes.io/dockercfg", "kubernetes.io/dockercfg"),
        ("bootstrap.kubernetes.io/token", "Opaque"),
        ("helm.sh/release.v1", "Opaque"),
        ("example.com/own", "Opaque"),
        ("kubernetes.io/service-account-token", "Opaque"),
    ] {
        let mut clusters = clusters(kind);
        assert_eq!(converge(&mut clusters), 1, "{kind}");
        let copy = host(&clusters).unwrap();
        assert_eq!(copy.str_at("/type"), Some(expected));
        assert_eq!(copy.at("/data"), Some(&json!({"token": "c2VjcmV0"})));
        assert_eq!(copy.annotation("kubernetes.io/service-account.name"), None);
        assert_eq!(converge(&mut clusters), 0, "{kind}");
    }
}

/// Helm lists its releases by the labels and the type of Secrets.
#[test]
fn a_release_of_helm_is_none_on_the_host() {
    const RELEASE: &str = "
apiVersion: v1
kind: Secret
metadata:
  name: key
  namespace: shop
  labels: {owner: helm, name: prod, status: deployed, version: '1'}
  annotations: {example.com/ok: 'yes'}
data: {release: SDRz}
type: helm.sh/release.v1";
    let allow = |facts: &mut Facts| facts.annotations = Globs::new(["*"]);
    let mut clusters =
        Clusters::default().facts(allow).with(Side::Virtual, RELEASE).referenced(kinds::SECRET, "shop", "key");
    assert_eq!(converge(&mut clusters), 1);
    let copy = host(&clusters).unwrap();
    assert_eq!(copy.str_at("/type"), Some("Opaque"));
    for map in ["labels", "annotations"] {
        let keys = copy.value()["metadata"][map].as_object().unwrap().keys();
        let foreign: Vec<_> = keys.filter(|key| !key.starts_with("tenet.sh/")).collect();
        assert!(foreign.is_empty(), "{map}: {foreign:?}");
    }
    assert_eq!(converge(&mut clusters), 0);
}

#[test]
fn it_is_on_the_host_while_something_refers_to_it() {
    let mut alone = Clusters::default().with(Side::Virtual, &secret("Opaque"));
    assert_eq!(converge(&mut alone), 0);
    let mut clusters = clusters("Opaque");
    converge(&mut clusters);
    alone.put(Side::Host, host(&clusters).unwrap().value().clone());
    assert_eq!(converge(&mut alone), 1);
    assert!(host(&alone).is_none());
}

#[test]
fn another_type_on_the_host_is_no_reason_to_write() {
    let mut clusters = clusters("kubernetes.io/service-account-token");
    converge(&mut clusters);
    let mut copy = host(&clusters).unwrap().value().clone();
    copy["type"] = json!("example.com/other");
    clusters.put(Side::Host, copy);
    assert_eq!(converge(&mut clusters), 0, "the API server lets nobody change it");
}

#[test]
fn content_is_not_kept_in_memory() {
    let spec = mapper().spec().clone();
    let cut = |side| {
        let input = spec.inputs.iter().find(|input| input.side == side).unwrap();
        input.projection.cut(json!({"metadata": {"name": "x"}, "data": {"k": "c2VjcmV0"}, "type": "Opaque"}))
    };
    assert_eq!(cut(Side::Virtual), json!({"metadata": {"name": "x"}}));
    assert!(cut(Side::Host)["data"][DIGEST].is_string());
}

/// With vcluster's names the Secret `web-sa-token` and the tokens of the pod `web` have one name on the host.
#[test]
fn the_tokens_of_a_pod_are_not_taken_for_a_copy_of_the_same_name() {
    const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, uid: u-pod}}";
    const OWN: &str = "{apiVersion: v1, kind: Secret, metadata: {name: web-sa-token, namespace: shop, uid: u-own}}";
    let base = || {
        let vcluster = |facts: &mut Facts| facts.names = Names::new(CLUSTER, "team-a", NameScheme::Vcluster);
        let mut clusters = Clusters::default().facts(vcluster).with(Side::Virtual, POD);
        let tokens = clusters.look(|cx| {
            let (names, pod) = (&cx.facts().names, cx.virt(kinds::POD, &VirtualKey::new("shop", "web")).unwrap());
            let key = cx.host_key(kinds::SECRET, &VirtualKey::new("shop", "web-sa-token"));
            assert_eq!(names.token_secret_name("shop", "web"), key.name(), "the names of this case are equal");
            let owner = cx.owner(kinds::POD, &pod);
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "namespace": key.namespace(), "name": key.name(), "labels": owner.labels(CLUSTER),
                    "annotations": owner.annotations(key.namespace(), key.name()),
                },
            })
        });
        clusters.put(Side::Host, tokens);
        clusters
    };
    let effects = |mut clusters: Clusters| {
        clusters.reconcile(&mapper(), "shop", "web-sa-token").map(|outcome| outcome.effects().len())
    };
    assert_eq!(effects(base()).unwrap(), 0, "the Secret is gone");
    assert_eq!(effects(base().with(Side::Virtual, OWN)).unwrap(), 0, "nothing refers to the Secret");
    let wanted = base().with(Side::Virtual, OWN).referenced(kinds::SECRET, "shop", "web-sa-token");
    let error = effects(wanted).unwrap_err();
    assert!(error.to_string().contains("belongs to Pod shop/web"), "{error}");
}
