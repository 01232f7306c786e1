//! The manifests of `tests/corpus`, in the shapes that public charts use: each is applied, its objects on the host are
//! compared with what the file expects, what the host says comes back, an edit follows, and after the delete nothing is
//! left.
//!
//! A file lists the objects to `apply`; what the `host` has of them; an `edit`, and what the host has `after` it. Where
//! the host refuses the shape, it lists what is `refused`. `NS` stands for the namespace inside.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tenet_mapper::{Kind, kinds};
use tenet_playground::Options;
use tokio::time::{Duration, Instant, sleep};

use crate::cluster::{Cluster, name, phase};
use crate::harness::{Separate, in_folder, new_namespace, passed};

/// The minor version before that of the control planes.
const OLDER: &str = "1.36";

/// Number of files that are tried at the same time.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    apply: Vec<Value>,
    #[serde(default)]
    host: Vec<Expected>,
    edit: Option<Edit>,
    #[serde(default)]
    after: Vec<Expected>,
    #[serde(default)]
    refused: Vec<Refused>,
}

/// Objects on the host that belong to objects inside.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    kind: String,
    /// Name inside; `*` at its end stands for any.
    of: String,
    /// Number of these objects; at least one without it.
    count: Option<usize>,
    /// Part of the object.
    #[serde(default)]
    has: Value,
    /// Pointers of fields that it does not have.
    #[serde(default)]
    lacks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Edit {
    api_version: String,
    kind: String,
    name: String,
    patch: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    kind: String,
    of: String,
    words: String,
}

/// Kinds of which the host has objects.
const ON_HOST: [Kind; 7] = [
    kinds::CONFIG_MAP,
    kinds::PERSISTENT_VOLUME_CLAIM,
    kinds::POD,
    kinds::SECRET,
    kinds::SERVICE,
    kinds::ENDPOINT_SLICE,
    Kind::of("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
];

fn collection(api_version: &str, kind: &str, namespace: &str) -> String {
    let root = if api_version.contains('/') { "/apis" } else { "/api" };
    format!("{root}/{api_version}/namespaces/{namespace}/{}s", kind.to_lowercase())
}

fn is_named(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

/// Returns where `found` does not contain `wanted`. A list contains another if it begins with elements that contain
/// its.
fn difference(found: &Value, wanted: &Value, at: &str) -> Option<String> {
    match (found, wanted) {
        (_, Value::Null) => None,
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().find_map(|(member, wanted)| {
            difference(found.get(member).unwrap_or(&Value::Null), wanted, &format!("{at}/{member}"))
        }),
        (Value::Array(found), Value::Array(wanted)) => wanted.iter().enumerate().find_map(|(index, wanted)| {
            difference(found.get(index).unwrap_or(&Value::Null), wanted, &format!("{at}/{index}"))
        }),
        _ if found == wanted => None,
        _ => Some(format!("{at}: {found}, not {wanted}")),
    }
}

struct Lab {
    own: Separate,
}

impl Lab {
    /// Returns the path of the host objects of a kind that belong to a namespace inside.
    fn copies(&self, kind: &Kind, namespace: &str) -> String {
        let path = kind.path(self.own.playground.namespace());
        format!("{path}?labelSelector=tenet.sh/namespace={namespace}")
    }

    /// The host objects of a kind that belong to a namespace inside and are not being deleted.
    async fn on_host(&self, kind: &str, namespace: &str) -> Result<Vec<Value>> {
        let kind = ON_HOST.iter().find(|known| known.kind == kind).context(kind.to_owned())?;
        let mut found = self.own.host.list(&self.copies(kind, namespace)).await?;
        found.retain(|object| object["metadata"]["deletionTimestamp"].is_null());
        Ok(found)
    }

    /// Waits until the host has what is expected, and the cluster inside says the same.
    async fn until(&self, expected: &Expected, namespace: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let Some(why) = self.differs(expected, namespace).await? else { return Ok(()) };
            ensure!(Instant::now() < end, "{} {}: {why}", expected.kind, expected.of);
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn differs(&self, expected: &Expected, namespace: &str) -> Result<Option<String>> {
        let original =
            |object: &Value| object["metadata"]["annotations"]["tenet.sh/name"].as_str().unwrap_or_default().to_owned();
        let mut found = self.on_host(&expected.kind, namespace).await?;
        found.retain(|object| is_named(&original(object), &expected.of));
        if let Some(count) = expected.count.filter(|count| *count != found.len()) {
            return Ok(Some(format!("the host has {}, not {count}", found.len())));
        }
        let wanted: Value = serde_json::from_str(&expected.has.to_string().replace("NS", namespace))?;
        let mut why = (expected.count != Some(0)).then(|| "the host has none".to_owned());
        for host in &found {
            let lacking = || expected.lacks.iter().find(|pointer| host.pointer(pointer).is_some());
            why = match (difference(host, &wanted, ""), lacking()) {
                (Some(why), _) => Some(why),
                (None, Some(field)) => Some(format!("{field} is there")),
                (None, None) => self.is_not_shown(&expected.kind, namespace, &original(host), host).await?,
            };
            if why.is_none() {
                break;
            }
        }
        Ok(why)
    }

    /// Returns what the cluster inside does not say as the host does.
    async fn is_not_shown(&self, kind: &str, namespace: &str, name: &str, host: &Value) -> Result<Option<String>> {
        let fields: &[&str] = match kind {
            "Pod" => &["/spec/nodeName", "/status/phase", "/status/podIP", "/status/startTime"],
            "Service" => &["/spec/clusterIP", "/spec/ports/0/nodePort", "/status/loadBalancer"],
            "PersistentVolumeClaim" => &["/spec/volumeName", "/status/phase", "/status/capacity"],
            _ => return Ok(None),
        };
        let path = format!("{}/{name}", collection("v1", kind, namespace));
        let Some(virt) = self.own.virt.get(&path).await? else { return Ok(Some(format!("{name} is gone inside"))) };
        let is_settled = match kind {
            "Pod" => ["Running", "Succeeded"].contains(&phase(host)),
            "PersistentVolumeClaim" => phase(host) == "Bound",
            _ => true,
        };
        if !is_settled {
            return Ok(Some(format!("{name} is {} on the host", phase(host))));
        }
        let differs = |field: &&&str| virt.pointer(field) != host.pointer(field);
        let field = fields.iter().find(differs);
        Ok(field
            .map(|field| format!("{name} shows {:?} in {field}, not {:?}", virt.pointer(field), host.pointer(field))))
    }

    async fn apply(&self, shape: &Shape, namespace: &str) -> Result<()> {
        for object in &shape.apply {
            let object: Value = serde_json::from_str(&object.to_string().replace("NS", namespace))?;
            let text = |member: &str| object[member].as_str().unwrap_or_default().to_owned();
            let path = collection(&text("apiVersion"), &text("kind"), namespace);
            let what = format!("{} {}", text("kind"), name(&object));
            self.own.virt.create(&path, object).await.context(what)?;
        }
        Ok(())
    }

    async fn is_told(&self, refused: &Refused, namespace: &str) -> Result<()> {
        let says = |event: &Value| {
            let object = &event["involvedObject"];
            event["reason"] == "SyncRefused"
                && object["kind"] == refused.kind.as_str()
                && is_named(object["name"].as_str().unwrap_or_default(), &refused.of)
                && event["message"].as_str().is_some_and(|message| message.contains(&refused.words))
        };
        let events = format!("/api/v1/namespaces/{namespace}/events");
        self.own.virt.until_list(&events, &refused.words, |events| events.iter().any(says)).await.map(drop)
    }

    async fn edit(&self, edit: &Edit, namespace: &str) -> Result<()> {
        let path = format!("{}/{}", collection(&edit.api_version, &edit.kind, namespace), edit.name);
        // Lists of containers are merged by name, as kubectl does; lists of ports are replaced.
        let by_name = edit.kind == "Pod" || edit.api_version.starts_with("apps/");
        if by_name {
            self.own.virt.merge(&path, edit.patch.clone()).await.map(drop)
        } else {
            self.own.virt.patch(&path, edit.patch.clone()).await.map(drop)
        }
    }

    async fn try_shape(&self, shape: &Shape, namespace: &str) -> Result<()> {
        new_namespace(&self.own.virt, namespace).await?;
        self.apply(shape, namespace).await.context("apply")?;
        for expected in &shape.host {
            self.until(expected, namespace).await.context("applied")?;
        }
        for refused in &shape.refused {
            self.is_told(refused, namespace).await.context("refused")?;
            let pods = self.on_host("Pod", namespace).await?;
            let crossed =
                pods.iter().find(|pod| pod["metadata"]["annotations"]["tenet.sh/name"] == refused.of.as_str());
            ensure!(crossed.is_none(), "{} is on the host", refused.of);
        }
        if let Some(edit) = &shape.edit {
            self.edit(edit, namespace).await.context("edit")?;
        }
        for expected in &shape.after {
            self.until(expected, namespace).await.context("edited")?;
        }
        let inside = format!("/api/v1/namespaces/{namespace}");
        self.own.virt.delete(&inside, json!({})).await?;
        self.own.virt.until_gone(&inside).await.context("deleted")?;
        self.nothing_left(namespace).await
    }

    async fn nothing_left(&self, namespace: &str) -> Result<()> {
        for kind in &ON_HOST {
            let path = self.copies(kind, namespace);
            self.own.host.until_list(&path, "gone", <[Value]>::is_empty).await.context("left on the host")?;
        }
        Ok(())
    }
}

/// Stands in for a provisioner: it makes a volume for each claim on the host.
async fn provision(host: Cluster, namespace: String) {
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    loop {
        for claim in host.list(&claims).await.unwrap_or_default() {
            if phase(&claim) != "Pending" {
                continue;
            }
            let spec = json!({
                "capacity": claim["spec"]["resources"]["requests"], "accessModes": claim["spec"]["accessModes"],
                "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/tmp/tenet-corpus"},
                "storageClassName": claim["spec"]["storageClassName"].as_str().unwrap_or_default(),
                "claimRef": {"namespace": namespace, "name": name(&claim), "uid": claim["metadata"]["uid"]},
            });
            let volume = format!("pv-{}", claim["metadata"]["uid"].as_str().unwrap_or_default());
            // It may be there already.
            drop(host.create("/api/v1/persistentvolumes", json!({"metadata": {"name": volume}, "spec": spec})).await);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn shapes() -> Result<Vec<(String, Shape)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut shapes = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a file name")?.to_owned();
        let shape = serde_saphyr::from_str(&std::fs::read_to_string(&path)?).with_context(|| name.clone())?;
        shapes.push((name, shape));
    }
    shapes.sort_by(|one: &(String, Shape), other| one.0.cmp(&other.0));
    Ok(shapes)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shapes_of_public_charts_cross_follow_and_leave_nothing() -> Result<()> {
    Box::pin(try_all(in_folder("corpus"))).await
}

/// The older control plane is this one, which emulates that version; defects of that version are not there.
#[tokio::test(flavor = "multi_thread")]
async fn the_shapes_cross_from_an_older_virtual_cluster() -> Result<()> {
    let options = Options { virtual_version: Some(OLDER.to_owned()), ..in_folder("corpus-older-virtual") };
    Box::pin(try_all(options)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shapes_cross_to_an_older_host() -> Result<()> {
    let options = Options { host_version: Some(OLDER.to_owned()), ..in_folder("corpus-older-host") };
    Box::pin(try_all(options)).await
}

async fn try_all(options: Options) -> Result<()> {
    let shapes = shapes()?;
    ensure!(shapes.len() >= 60, "only {} shapes", shapes.len());
    let own = Separate::start(Options { nodes: 3, ..options }).await?;
    let provisioner = tokio::spawn(provision(own.host.clone(), own.playground.namespace().to_owned()));
    let lab = Lab { own };
    let tried = stream::iter(&shapes).map(async |(name, shape)| {
        let number = name.split('-').next().unwrap_or_default();
        let tried = lab.try_shape(shape, &format!("corpus-{number}")).await;
        anyhow::Ok(tried.err().map(|error| format!("{name}: {error:#}")))
    });
    let failed: Vec<_> =
        tried.buffer_unordered(AT_ONCE).try_filter_map(async |failed| Ok(failed)).try_collect().await?;
    provisioner.abort();
    if !failed.is_empty() {
        bail!("{} of {} shapes:\n{}", failed.len(), shapes.len(), failed.join("\n"));
    }
    passed(lab.own.playground).await
}
