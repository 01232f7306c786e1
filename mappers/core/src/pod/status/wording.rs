use serde_json::Value;
use tenet_mapper::Object;
use tenet_mapper::translate::Wording;

use crate::pod::Subject;

/// Turns names of the host in all messages to what they are inside.
pub(super) fn turn(pod: &Subject<'_, '_>, host: &Object, status: &mut Value) {
    let mut known = None;
    messages(status, &mut |message| {
        *message = known.get_or_insert_with(|| wording(pod, host)).translate(message);
    });
}

/// Visits what is written for people.
fn messages(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "message" || name == "reason" => visit(text),
                    value => messages(value, visit),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| messages(item, visit)),
        _ => {}
    }
}

/// The names of the host that its messages may hold: of the pod, and of what it refers to.
fn wording(pod: &Subject<'_, '_>, host: &Object) -> Wording {
    pod.references().into_iter().fold(crate::wording(pod.cx, host, pod.virt), |wording, reference| {
        let host_key = pod.cx.host_key_named(reference.kind, pod.virt.namespace(), &reference.name);
        wording.object(host_key.name(), &reference.name)
    })
}
