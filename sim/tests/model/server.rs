//! One side of the comparison: it performs the steps of a script and records the answers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::{AsyncBufReadExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::script::{Script, Step, Watch};

const PATIENCE: Duration = Duration::from_secs(20);

/// One API server, and what a script has seen of its objects.
pub struct Server {
    client: Client,
    seen: BTreeMap<String, Vec<Value>>,
    versions: BTreeMap<String, String>,
    token: String,
}

impl Server {
    pub fn new(client: Client) -> Self {
        Self { client, seen: BTreeMap::new(), versions: BTreeMap::new(), token: String::new() }
    }

    /// Performs a script. Returns one entry for each step, and one for each watch.
    pub async fn run(mut self, script: &Script) -> Result<Vec<Value>> {
        let mut told = Vec::new();
        for step in &script.steps {
            told.push(self.step(step).await.with_context(|| step.to_string())?);
        }
        for watch in &script.watches {
            told.push(self.watch(watch).await.with_context(|| watch.path.clone())?);
        }
        for step in &script.end {
            self.step(step).await?;
        }
        Ok(told)
    }

    async fn step(&mut self, step: &Step) -> Result<Value> {
        let path = self.fill(&step.path);
        let mut body = step.body.clone();
        if step.on_last {
            let mut last = self.last(&step.object).cloned().unwrap_or_else(|| json!({}));
            json_patch::merge(&mut last, &json!({"metadata": {"managedFields": null}}));
            json_patch::merge(&mut last, &body);
            body = last;
        }
        self.resolve(&mut body, &step.object);
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body)? };
        let request = http::Request::builder()
            .method(step.method)
            .uri(path)
            .header(ACCEPT, step.accept)
            .header(CONTENT_TYPE, step.mime)
            .body(Body::from(bytes))?;
        let (parts, body) = self.client.send(request).await?.into_parts();
        let text = body.collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
        self.note(step, parts.status.is_success(), &answer);
        let retry =
            parts.headers.get("retry-after").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Ok(json!({"code": parts.status.as_u16(), "body": answer, "retryAfter": retry}))
    }

    fn note(&mut self, step: &Step, is_success: bool, answer: &Value) {
        if let Some(version) =
            answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).filter(|_| is_success)
        {
            if let Some(kind) = answer["kind"].as_str().and_then(|kind| kind.strip_suffix("List")) {
                self.versions.entry(kind.to_owned()).or_insert_with(|| version.to_owned());
                answer["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut self.token);
            } else if !step.path.contains("dryRun")
                && answer["kind"] == step.object.split('/').next().unwrap_or_default()
            {
                self.seen.entry(step.object.clone()).or_default().push(answer.clone());
            }
        }
    }

    fn last(&self, object: &str) -> Option<&Value> {
        self.seen.get(object)?.last()
    }

    fn fill(&self, path: &str) -> String {
        if self.token.is_empty() { path.replace("&continue=$token", "") } else { path.replace("$token", &self.token) }
    }

    /// Replaces `$uid:<object>` and the like by what this server has answered.
    fn resolve(&self, value: &mut Value, object: &str) {
        match value {
            Value::Object(members) => members.values_mut().for_each(|value| self.resolve(value, object)),
            Value::Array(items) => items.iter_mut().for_each(|value| self.resolve(value, object)),
            Value::String(text) => {
                let Some(reference) = text.strip_prefix('$') else { return };
                let (what, of) = reference.split_once(':').unwrap_or((reference, object));
                let states = self.seen.get(of).map_or(&[][..], Vec::as_slice);
                let state = if what.starts_with("old") { states.first() } else { states.last() };
                let member = if what.ends_with("uid") { "uid" } else { "resourceVersion" };
                let found = state.and_then(|state| state["metadata"][member].as_str());
                *text = found.unwrap_or(if member == "uid" { "unknown" } else { "1" }).to_owned();
            }
            _ => {}
        }
    }

    /// Follows a resource from the start of the script to its last object.
    async fn watch(&self, watch: &Watch) -> Result<Value> {
        let version = self.versions.get(&watch.kind).context("the script lists first")?;
        let path = watch.path.replace("$since", version);
        let request = http::Request::get(path).header(ACCEPT, watch.accept).body(Vec::new())?;
        let mut lines = self.client.request_stream(request).await?.lines();
        let mut events = Vec::new();
        while let Some(line) = timeout(PATIENCE, lines.try_next()).await.context("the watch is silent")?? {
            let event: Value = serde_json::from_str(&line)?;
            if event["type"] == "BOOKMARK" {
                continue;
            }
            let is_last = event["object"]["metadata"]["name"] == watch.last.as_str();
            events.push(event);
            if is_last {
                break;
            }
        }
        Ok(json!({"events": events}))
    }
}
