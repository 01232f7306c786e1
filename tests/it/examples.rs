//! The mappers under `examples/`, each in the syncer that its own `main.rs` makes, on real control planes.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tenet_playground::Command;

use crate::harness::{Separate, in_folder, new_namespace, passed, until_told};

const GROUP: &str = "/apis/networking.k8s.io/v1";

/// Builds a crate under `examples/`, as `.ci/run` does, and returns its binary.
fn build(name: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (target, lock) = (root.join("target/examples"), root.join("examples").join(name).join("Cargo.lock"));
    if !lock.exists() {
        // The versions that the workspace is tested with.
        std::fs::copy(root.join("Cargo.lock"), &lock).context("Cargo.lock")?;
    }
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["build", "--manifest-path"]).arg(lock.with_file_name("Cargo.toml"));
    let built = cargo.env("CARGO_TARGET_DIR", &target).env("CARGO_PROFILE_DEV_DEBUG", "0").output()?;
    ensure!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    Ok(target.join("debug").join(name))
}

struct Lab {
    own: Separate,
}

impl Deref for Lab {
    type Target = Separate;

    fn deref(&self) -> &Separate {
        &self.own
    }
}

impl Lab {
    async fn start() -> Result<Self> {
        let own = Separate::new(in_folder("examples")).await?;
        new_namespace(&own.virt, "shop").await?;
        Ok(Self { own })
    }

    /// Starts the syncer of an example with the rights of its Role and its section of the configuration, in which
    /// `permit` becomes true.
    async fn run(&self, example: &str, permit: &str) -> Result<()> {
        let binary = build(example)?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        let role: Value = serde_saphyr::from_str(&std::fs::read_to_string(folder.join("role.yaml"))?)?;
        let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", self.playground.namespace());
        let binding = json!({
            "apiVersion": role["apiVersion"], "kind": "RoleBinding", "metadata": role["metadata"],
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenet-syncer"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
        });
        self.host.create(&format!("{rbac}/roles"), role).await?;
        self.host.create(&format!("{rbac}/rolebindings"), binding).await?;

        let section = std::fs::read_to_string(folder.join("section.yaml"))?;
        let section = section.replace(&format!("{permit}: false"), &format!("{permit}: true"));
        let config = std::fs::read_to_string(self.playground.syncer_config())? + &section;
        let file = self.playground.dir().join(format!("{example}.yaml"));
        std::fs::write(&file, config)?;
        Ok(self.playground.start_syncer(&Command::new(binary).arg("--config").arg(file)).await?)
    }

    fn on_host(&self, resource: &str, name: &str) -> String {
        format!("{GROUP}/namespaces/{}/{resource}/{name}-x-shop-x-vc-1", self.playground.namespace())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_mappers_sync_their_kinds() -> Result<()> {
    let lab = Lab::start().await?;
    lab.run("network-policy-mapper", "allowAnyPeer").await?;
    network_policies(&lab).await.context("NetworkPolicy")?;
    lab.run("ingress-mapper", "allowDefaultBackend").await?;
    ingresses(&lab).await.context("Ingress")?;
    passed(lab.own.playground).await
}

async fn network_policies(lab: &Lab) -> Result<()> {
    let all = format!("{GROUP}/namespaces/shop/networkpolicies");
    let (inside, outside) = (format!("{all}/web"), lab.on_host("networkpolicies", "web"));
    let peer = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer("front")]}]});
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                        "metadata": {"name": "web"}, "spec": spec});
    lab.virt.create(&all, policy).await?;
    let copy = lab.host.until(&outside, "there", Value::is_object).await?;
    let own = json!({"tenet.sh/managed-by": "vc-1", "tenet.sh/namespace": "shop"});
    ensure!(copy["spec"]["podSelector"]["matchLabels"] == own, "{copy:#}");
    let from = &copy["spec"]["ingress"][0]["from"][0]["podSelector"];
    ensure!(from["matchLabels"]["app"] == "front", "{copy:#}");
    ensure!(from["matchExpressions"].as_array().is_some_and(|narrowed| narrowed.len() == 2), "{copy:#}");

    // Every shape that a list of rules can have, each after another one.
    let ports = json!({"ports": [{"protocol": "TCP", "port": 80}]});
    for ingress in [json!([{}]), json!([]), json!([{}, ports]), json!([ports]), json!([{}]), json!([ports, {}])] {
        lab.virt.patch(&inside, json!({"spec": {"ingress": ingress}})).await?;
        let shape = |list: &Value| list.as_array().cloned().unwrap_or_default();
        let follows = |copy: &Value| shape(&copy["spec"]["ingress"]) == shape(&ingress);
        lab.host.until(&outside, &format!("{ingress}"), follows).await?;
    }

    let wide = json!({"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}});
    lab.virt.patch(&inside, wide).await?;
    until_told(&lab.virt, "shop", "SyncRefused", "web", "spec.ingress[0].from[0]: ipBlock").await?;
    let kept = lab.host.get(&outside).await?.context("the copy")?;
    ensure!(kept["spec"]["ingress"] == json!([ports, {}]), "the copy stays as it was last accepted: {kept:#}");
    lab.virt.delete(&inside, json!({})).await?;
    lab.host.until_gone(&outside).await
}

async fn ingresses(lab: &Lab) -> Result<()> {
    let all = format!("{GROUP}/namespaces/shop/ingresses");
    let (inside, outside) = (format!("{all}/web"), lab.on_host("ingresses", "web"));
    let data = json!({"tls.crt": "", "tls.key": ""});
    let secret = json!({"metadata": {"name": "cert"}, "type": "kubernetes.io/tls", "data": data});
    lab.virt.create("/api/v1/namespaces/shop/secrets", secret).await?;
    let path = |path: &str| {
        let backend = json!({"service": {"name": "front", "port": {"number": 80}}});
        json!({"path": path, "pathType": "Prefix", "backend": backend})
    };
    let rule = |host: &str, paths: Value| json!({"host": host, "http": {"paths": paths}});
    let spec = json!({"ingressClassName": "nginx", "tls": [{"hosts": ["a.shop.example"], "secretName": "cert"}],
                      "rules": [rule("a.shop.example", json!([path("/")]))]});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                         "metadata": {"name": "web"}, "spec": spec});
    lab.virt.create(&all, ingress).await?;
    let copy = lab.host.until(&outside, "there", Value::is_object).await?;
    ensure!(copy["spec"]["ingressClassName"] == "nginx", "{copy:#}");
    let backend = &copy["spec"]["rules"][0]["http"]["paths"][0]["backend"];
    ensure!(backend["service"]["name"] == "front-x-shop-x-vc-1", "{copy:#}");
    let cert = "cert-x-shop-x-vc-1";
    ensure!(copy["spec"]["tls"][0]["secretName"] == cert, "{copy:#}");
    let secret = format!("/api/v1/namespaces/{}/secrets/{cert}", lab.playground.namespace());
    lab.host.until(&secret, "copied", Value::is_object).await?;

    let rules =
        json!([rule("a.shop.example", json!([path("/"), path("/b")])), rule("b.shop.example", json!([path("/")]))]);
    lab.virt.patch(&inside, json!({"spec": {"rules": rules, "tls": null}})).await?;
    let follows = |copy: &Value| {
        let paths = copy["spec"]["rules"][0]["http"]["paths"].as_array().map_or(0, Vec::len);
        paths == 2 && copy["spec"]["rules"][1]["host"] == "b.shop.example" && copy["spec"].get("tls").is_none()
    };
    lab.host.until(&outside, "as the tenant changed it", follows).await?;
    lab.host.until_gone(&secret).await.context("nothing refers to the Secret any more")?;

    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    lab.host.patch(&format!("{outside}/status"), json!({"status": status})).await?;
    lab.virt.until(&inside, "with the status of the host", |ingress| ingress["status"] == status).await?;

    let foreign = json!({"spec": {"rules": [rule("bank.example", json!([path("/")]))]}});
    lab.virt.patch(&inside, foreign).await?;
    until_told(&lab.virt, "shop", "SyncRefused", "web", "spec.rules[0].host").await?;
    lab.virt.delete(&inside, json!({})).await?;
    lab.host.until_gone(&outside).await
}
