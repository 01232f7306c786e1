//! Mappers start and stop alone: what one of them lacks stops no other.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser as _;
use serde_json::{Value, json};
use tenet_config::{Config, Overrides};
use tenet_mapper::rules::{Rule, Table, copy, omit, reference, set};
use tenet_mapper::{CopyMapper, Kind, Mapper, MapperSpec, kinds};
use tenet_playground::{Command, Playground};
use tenet_syncer::role;
use tokio::time::{Instant, sleep};

use crate::harness::{Separate, configured, in_folder, new_namespace, passed};
use crate::operations::scrape;

/// Time limit of a probe of a missing API or right, and of its consequences.
const PATIENCE: Duration = Duration::from_secs(60);

const WIDGET: Kind = Kind::of("example.com", "v1", "Widget", "widgets");
const WIDGET_RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "carries the host's name and the owner record"),
    copy("spec.size").kept(),
    reference("spec.config", kinds::CONFIG_MAP.group_kind()),
    omit("status", "the controllers of each cluster have their own"),
];

/// Variable by which the test below knows that it is the syncer.
const IS_SYNCER: &str = "TENET_TEST_SYNCER_ARGS";

/// The syncer of [`a_kind_that_comes_late_is_synced_and_one_that_goes_stops_alone`], in a process of
/// its own: the built-in mappers, and one of a custom resource.
#[test]
fn the_syncer_with_widgets() {
    let Ok(config) = std::env::var(IS_SYNCER) else { return };
    let args = tenet_syncer::Args::parse_from(["tenet-syncer", "--config", &config]);
    tenet_syncer::main_with(args, mappers_with_widgets(), tenet_sockets::Sockets);
}

fn mappers_with_widgets() -> Vec<Box<dyn Mapper>> {
    let table = Table::new(&[("", WIDGET_RULES)]).expect("a table without contradictions");
    let mut mappers = tenet_core_mappers::all();
    mappers.push(Box::new(CopyMapper::of_table(MapperSpec::both_sides("widget", WIDGET, table))));
    mappers
}

/// The Role that this syncer needs: it prints none itself, as its flags are those of a test.
fn role_with_widgets(playground: &Playground) -> Result<String> {
    let text =
        format!("name: vc-1\nhost: {{ namespace: {} }}\nvirtual: {{ kubeconfig: unused }}\n", playground.namespace());
    let config = Config::from_yaml(&text, &Overrides::default())?;
    let needs = role::needs(&config, &mappers_with_widgets(), &tenet_sockets::Sockets);
    Ok(role::role(&config, &needs))
}

fn syncer_with_widgets(playground: &Playground) -> Result<Command> {
    let command = Command::new(std::env::current_exe()?).arg("--exact").arg("registry::the_syncer_with_widgets");
    Ok(command.arg("--nocapture").env(IS_SYNCER, playground.syncer_config()))
}

struct Rig(Separate);

impl Deref for Rig {
    type Target = Separate;

    fn deref(&self) -> &Separate {
        &self.0
    }
}

impl Rig {
    async fn new(name: &str) -> Result<Self> {
        Ok(Self(Separate::new(in_folder(name)).await?))
    }

    async fn readyz(&self, path: &str) -> Result<(u16, String)> {
        scrape(self.playground.admin_port(), path).await
    }

    /// Waits until `/readyz` says this, or does not.
    async fn until_readyz(&self, what: &str, is: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (_, body) = self.readyz("/readyz").await.unwrap_or_default();
            if is(&body) {
                return Ok(body);
            }
            anyhow::ensure!(Instant::now() < end, "/readyz does not say {what}:\n{body}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn metrics(&self) -> Result<String> {
        Ok(self.readyz("/metrics").await?.1)
    }

    /// Runs a pod, which shows that the other mappers go on.
    async fn runs_a_pod(&self, namespace: &str, name: &str) -> Result<()> {
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        self.virt.create(&pods, pod).await?;
        let pod = format!("{pods}/{name}");
        self.virt.until(&pod, "running", |pod| pod["status"]["phase"] == "Running").await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_secrets_services_still_sync_and_all_that_is_off_says_so() -> Result<()> {
    let rig = Rig::new("without-secrets").await?;
    let command = configured(&rig.playground);
    rig.playground.give_declared_rights(&command).await?;
    let collection = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles", rig.playground.namespace());
    let role = rig.host.list(&collection).await?.first().context("a Role")?.clone();
    let path = format!("{collection}/{}", role["metadata"]["name"].as_str().context("a role")?);
    let mut rules = role["rules"].clone();
    for rule in rules.as_array_mut().context("rules")? {
        rule["resources"].as_array_mut().context("resources")?.retain(|resource| resource != "secrets");
    }
    let filled = rules.as_array_mut().context("rules")?;
    filled.retain(|rule| rule["resources"].as_array().is_some_and(|resources| !resources.is_empty()));
    rig.host.patch(&path, json!({ "rules": rules })).await?;

    rig.playground.start_syncer(&command).await?;
    let told = rig.until_readyz("that Secrets are off", |body| body.contains("sockets: off")).await?;
    for part in ["ok\n", "secret: off: host secrets", "pod: off: host secrets", "sockets: off: ", "forbidden"] {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
    assert_eq!(rig.readyz("/readyz/service").await?, (200, "ok\n".to_owned()));
    assert_eq!(rig.readyz("/readyz/secret").await?.0, 503);
    let metrics = rig.metrics().await?;
    for series in [
        "tenet_mapper_running{kind=\"Secret\"} 0",
        "tenet_mapper_running{kind=\"Pod\"} 0",
        "tenet_mapper_running{kind=\"Service\"} 1",
        "tenet_mapper_running{kind=\"ConfigMap\"} 1",
        "tenet_part_running{part=\"sockets\"} 0",
    ] {
        assert!(metrics.contains(series), "{series} is not in:\n{metrics}");
    }
    let log = std::fs::read_to_string(rig.playground.syncer_log())?;
    assert!(log.contains("mapper stopped: an API or a right is missing"), "{log}");

    // Nobody answers the webhook, so the Service is stored with an address of its own, and repaired.
    new_namespace(&rig.virt, "shop").await?;
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    rig.virt.create("/api/v1/namespaces/shop/services", service).await?;
    let host = rig.on_host("services/web-x-shop-x-vc-1");
    let host = rig.host.until(&host, "there", |service| service["spec"]["clusterIP"].is_string()).await?;
    let address = host["spec"]["clusterIP"].clone();
    let equal = |service: &Value| service["spec"]["clusterIP"] == address;
    rig.virt.until("/api/v1/namespaces/shop/services/web", "at the host's address", equal).await?;

    rig.host.patch(&path, json!({ "rules": role["rules"] })).await?;
    rig.until_readyz("that nothing is off", |body| body == "ok\n").await?;
    rig.runs_a_pod("shop", "late").await?;
    passed(rig.0.playground).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_comes_late_is_synced_and_one_that_goes_stops_alone() -> Result<()> {
    let rig = Rig::new("late-kind").await?;
    rig.playground.give_rights(&role_with_widgets(&rig.playground)?).await?;

    rig.playground.start_syncer(&syncer_with_widgets(&rig.playground)?).await?;
    rig.until_readyz("that widgets are off", |body| body.contains("widget: off: ")).await?;
    assert_eq!(rig.readyz("/readyz/config-map").await?.0, 200, "widgets may refer to ConfigMaps, and there are none");
    new_namespace(&rig.virt, "shop").await?;
    rig.runs_a_pod("shop", "before").await?;

    for side in [&rig.host, &rig.virt] {
        side.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition()).await?;
    }
    rig.until_readyz("that nothing is off", |body| body == "ok\n").await?;
    let widgets = "/apis/example.com/v1/namespaces/shop/widgets";
    let widget =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}});
    rig.virt.create(widgets, widget).await?;
    let copy = format!("/apis/example.com/v1/namespaces/{}/widgets/w-x-shop-x-vc-1", rig.playground.namespace());
    rig.host.until(&copy, "there", |widget| widget["spec"]["size"] == 3).await?;
    rig.virt.patch(&format!("{widgets}/w"), json!({"spec": {"size": 4}})).await?;
    rig.host.until(&copy, "changed", |widget| widget["spec"]["size"] == 4).await?;

    rig.host.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com", json!({})).await?;
    rig.until_readyz("that widgets are off", |body| body.contains("widget: off: ")).await?;
    rig.runs_a_pod("shop", "after").await?;
    let kept = rig.virt.get(&format!("{widgets}/w")).await?.context("the widget")?;
    assert_eq!(kept["spec"]["size"], 4, "the tenant's object stays");
    passed(rig.0.playground).await
}

fn definition() -> Value {
    let spec = json!({"type": "object", "properties": {"size": {"type": "integer"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}],
        },
    })
}
