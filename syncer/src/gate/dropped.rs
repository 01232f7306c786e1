//! Fields of a new copy that the host drops without an error: an older API server does not know them, or a feature is off
//! there. The tenant is told, as the object may do something else than it says.

use std::collections::BTreeSet;

use serde_json::Value;
use tenet_mapper::{ApplyHost, Effect, Event, EventReason, ObjectRef, VirtualKey};

use super::Gate;

impl Gate {
    /// Returns the event about fields of an original that the host has dropped from its new copy.
    pub(super) fn dropped(&self, apply: &ApplyHost, sent: &Value, created: &Value) -> Option<Event> {
        let key = VirtualKey::new(&*apply.owner.namespace, &*apply.owner.name);
        let virt = self.cached(&ObjectRef::virt(apply.kind, &key)).filter(|virt| virt.uid() == apply.owner.uid)?;
        let fields = dropped(virt.value(), sent, created);
        let fields = Some(fields.join(", ")).filter(|fields| !fields.is_empty())?;
        let message = format!("the host has dropped {fields}: it does not know this, or a feature is off there");
        Some(Event::warning(apply.kind, &virt, EventReason::Degraded, message))
    }

    /// Tells the tenant. The copy is made, whether this succeeds or not.
    pub(super) async fn tell_dropped(&self, event: &Event) {
        let writes = self.plan(&Effect::Emit(event.clone()), None, &[]);
        for write in writes.iter().flatten() {
            if let Err(error) = self.emit(event, write).await {
                let object = ObjectRef::virt(event.kind, &event.key);
                tracing::warn!(%object, %error, "cannot tell what the host has dropped");
            }
        }
    }
}

/// Returns the fields of the spec that the tenant has set, that were sent, and that the answer lacks.
fn dropped(virt: &Value, sent: &Value, created: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    walk("spec", &virt["spec"], &sent["spec"], &created["spec"], &mut fields);
    fields
}

fn walk(at: &str, virt: &Value, sent: &Value, created: &Value, fields: &mut Vec<String>) {
    // A server leaves out what is empty.
    if is_blank(virt) || is_blank(sent) {
        return;
    }
    match (virt, sent, created) {
        (_, _, Value::Null) => fields.push(at.to_owned()),
        (Value::Object(virt), Value::Object(sent), Value::Object(created)) => {
            for (name, sent) in sent {
                let [virt, created] = [virt, created].map(|of| of.get(name).unwrap_or(&Value::Null));
                walk(&format!("{at}.{name}"), virt, sent, created, fields);
            }
        }
        (Value::Array(virt), Value::Array(sent), Value::Array(created)) => lists(at, virt, sent, created, fields),
        _ => {}
    }
}

/// Compares the elements of lists: those with names by these, as the host may add others, and the rest by position.
fn lists(at: &str, virt: &[Value], sent: &[Value], created: &[Value], fields: &mut Vec<String>) {
    let names: BTreeSet<_> = sent.iter().filter_map(name).collect();
    if names.len() == sent.len() {
        for (index, virt) in virt.iter().enumerate() {
            let of = |list: &'_ [Value]| list.iter().position(|other| name(other) == name(virt));
            let Some(sent) = of(sent).and_then(|at| sent.get(at)) else { continue };
            let created = of(created).and_then(|at| created.get(at)).unwrap_or(&Value::Null);
            walk(&format!("{at}[{index}]"), virt, sent, created, fields);
        }
    } else if virt.len() == sent.len() && created.len() == sent.len() {
        for (index, ((virt, sent), created)) in virt.iter().zip(sent).zip(created).enumerate() {
            walk(&format!("{at}[{index}]"), virt, sent, created, fields);
        }
    } else if virt.len() == sent.len() && created.len() < sent.len() {
        fields.push(at.to_owned());
    }
}

fn name(element: &Value) -> Option<&str> {
    element.get("name").and_then(Value::as_str)
}

/// Returns true for a value that an API server may leave out without a loss.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        // The API server inside has left out those that are the same as no value.
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(value) => value.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_blank),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_answer_lacks_of_what_the_tenant_has_set_is_named() {
        let (image, empty) = (json!({"reference": "a"}), json!({}));
        let mounts = |paths: &[(&str, Option<&str>)]| {
            let mount = |(path, part): &(&str, Option<&str>)| json!({"name": "v", "mountPath": path, "subPath": part});
            Value::Array(paths.iter().map(mount).collect())
        };
        let both = mounts(&[("/a", None), ("/b", Some("b"))]);
        for (virt, sent, created, fields) in [
            (json!({"a": 1}), json!({"a": 1, "ours": 2}), json!({"a": 2, "default": 3}), vec![]),
            (json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), json!({"a": {}}), vec!["spec.a.b"]),
            (json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), json!({}), vec!["spec.a"]),
            (json!({"users": false}), json!({"users": false}), json!({}), vec!["spec.users"]),
            (json!({"a": empty, "b": [], "c": ""}), json!({"a": empty, "b": [], "c": ""}), json!({}), vec![]),
            // The host has put a container before that of the tenant.
            (
                json!({"containers": [{"name": "main", "rules": [1], "image": "a"}]}),
                json!({"containers": [{"name": "main", "rules": [1], "image": "a"}]}),
                json!({"containers": [{"name": "injected"}, {"name": "main", "image": "b"}]}),
                vec!["spec.containers[0].rules"],
            ),
            (
                json!({"volumes": [{"name": "x", "image": image}, {"name": "y"}]}),
                json!({"volumes": [{"name": "own"}, {"name": "x", "image": image}, {"name": "y"}]}),
                json!({"volumes": [{"name": "own"}, {"name": "y"}]}),
                vec!["spec.volumes[0]"],
            ),
            (json!({"mounts": both}), json!({"mounts": both}), json!({"mounts": both}), vec![]),
            (json!({"mounts": both}), json!({"mounts": both}), json!({"mounts": [both[0]]}), vec!["spec.mounts"]),
        ] {
            let of = |spec: &Value| json!({ "spec": spec });
            assert_eq!(dropped(&of(&virt), &of(&sent), &of(&created)), fields, "{virt} {sent} {created}");
        }
    }
}
