use serde_json::{Value, json};
use tenet_mapper::keys::FOLLOWED;
use tenet_mapper::{Object, crossed};

use super::Record;
use crate::pod::Subject;
use crate::pod::downward::Fields;

/// Labels and annotations that have changed, the values of the downward API among them, as a
/// merge patch of the pod.
pub(super) fn change(pod: &Subject<'_, '_>, host: &Object, now: &Record) -> Value {
    let mut wanted = Fields::of(pod).metadata(pod);
    wanted["annotations"][FOLLOWED] = json!(now.text());
    let mut body = json!({});
    for (map, mark) in [("labels", 'l'), ("annotations", 'a')] {
        let found = &host.value()["metadata"][map];
        for (key, value) in wanted[map].as_object().into_iter().flatten() {
            if found.get(key) != Some(value) {
                body["metadata"][map][key] = value.clone();
            }
        }
        for key in crossed::before(host.value(), mark) {
            if found.get(&key).is_some() && wanted[map].get(&key).is_none() {
                body["metadata"][map][&key] = Value::Null;
            }
        }
    }
    body
}
