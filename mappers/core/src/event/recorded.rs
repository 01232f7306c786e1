//! An event of the host, in whichever of its two forms: with a count, or with a series (`events.k8s.io`).

use serde_json::{Value, json};
use tenet_mapper::Object;
use tenet_mapper::translate::Wording;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An event of the host.
pub(super) struct Recorded {
    pub(super) uid: String,
    pub(super) subject_uid: String,
    pub(super) field: Option<String>,
    /// Seconds since 1970.
    pub(super) last: i64,
    first_time: String,
    last_time: String,
    count: i64,
    reason: String,
    message: String,
    event_type: String,
    component: String,
}

impl Recorded {
    /// Reads an event; `None` for one without a time.
    pub(super) fn read(event: &Object) -> Option<Self> {
        let text = |pointer: &str| event.str_at(pointer).filter(|text| !text.is_empty());
        let created = text("/metadata/creationTimestamp");
        let first = text("/firstTimestamp").or(text("/eventTime")).or(created)?;
        let last = text("/series/lastObservedTime").or(text("/lastTimestamp")).or(text("/eventTime")).or(created)?;
        let count = event.at("/series/count").or(event.at("/count")).and_then(Value::as_i64);
        let owned = |pointer: &str| text(pointer).unwrap_or_default().to_owned();
        Some(Self {
            uid: event.uid().to_owned(),
            subject_uid: owned("/involvedObject/uid"),
            field: text("/involvedObject/fieldPath").map(str::to_owned),
            last: seconds(last)?,
            first_time: whole(first),
            last_time: whole(last),
            count: count.unwrap_or(1).max(1),
            reason: owned("/reason"),
            message: owned("/message"),
            event_type: owned("/type"),
            component: text("/source/component").or(text("/reportingComponent")).unwrap_or_default().to_owned(),
        })
    }

    /// Returns the last time of a virtual event.
    pub(super) fn last_of(virt: &Object) -> i64 {
        virt.str_at("/lastTimestamp").and_then(seconds).unwrap_or_default()
    }

    /// Returns true if a virtual event has at least this count and time.
    pub(super) fn is_shown_by(&self, virt: &Object) -> bool {
        virt.at("/count").and_then(Value::as_i64).unwrap_or_default() >= self.count && Self::last_of(virt) >= self.last
    }

    /// Returns the event with a count, without metadata and subject.
    pub(super) fn as_counted(&self, wording: &Wording) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Event",
            "reason": self.reason, "message": wording.translate(&self.message), "type": self.event_type,
            "source": {"component": self.component}, "reportingComponent": self.component,
            "count": self.count, "firstTimestamp": self.first_time, "lastTimestamp": self.last_time,
        })
    }
}

/// Returns a time without the fraction of its seconds, which `core/v1` cuts off.
fn whole(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

fn seconds(time: &str) -> Option<i64> {
    OffsetDateTime::parse(time, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}
