//! Owner record: annotations on a host object that name the virtual object it belongs to.
//!
//! It is the only proof of ownership. An incomplete or inconsistent record counts as
//! none: the object is foreign, and foreign objects are never touched.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::GroupKind;
use crate::digest;
use crate::keys::{CHECKSUM, CLUSTER, HOST_NAME, KIND, MANAGED_BY, NAME, NAMESPACE, PENDING, UID};

/// Owner record of a host object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerRecord {
    /// Cluster id.
    pub cluster: String,
    /// Kind of the virtual object.
    pub kind: GroupKind,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID: an object created again under the same name is another object. Empty while the
    /// host object is a reservation for an object that is about to be created.
    pub uid: String,
}

/// Length of a checksum in characters, of 5 bits each.
const CHECKSUM_LENGTH: usize = 12;

/// Ownership of a host object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The object carries a complete record of this virtual cluster.
    Ours(OwnerRecord),
    /// The object carries none: it is never written and never deleted.
    Foreign(Foreign),
}

/// Reason why a host object is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Foreign {
    /// The object carries none of our keys.
    #[error("it carries no owner record")]
    NoRecord,
    /// The record lacks a key, or the value is not a text.
    #[error("its owner record lacks {0}")]
    Missing(&'static str),
    /// The record names a kind that neither the code nor the configuration has brought.
    #[error("its owner record names the unknown kind {0:?}")]
    UnknownKind(String),
    /// The object belongs to a virtual cluster of another name.
    #[error("it belongs to the virtual cluster {0:?}")]
    OtherName(String),
    /// The object belongs to another virtual cluster of the same name, perhaps an earlier one.
    #[error("it belongs to the virtual cluster with the id {0:?}")]
    OtherCluster(String),
    /// The record was written for another host object.
    #[error("its owner record names the host object {recorded:?}, but it is {actual:?}")]
    Copied {
        /// Host object that the record names.
        recorded: String,
        /// Host object that carries the record.
        actual: String,
    },
    /// The record is not as it was written: it was changed, so the owner of the object is unknown.
    #[error("its owner record was changed: {CHECKSUM} does not match")]
    Damaged,
    /// Label and record name different virtual namespaces.
    #[error("its label names the namespace {label:?}, but its owner record names {record:?}")]
    Namespaces {
        /// Value of the label.
        label: String,
        /// Value of the annotation.
        record: String,
    },
}

impl OwnerRecord {
    /// Returns true if the record is for an object that is about to be created.
    pub fn is_reservation(&self) -> bool {
        self.uid.is_empty()
    }

    /// Returns the annotations that store this record on the host object `host_name` in `host_namespace`
    /// (empty for a cluster-scoped host object).
    pub fn annotations(&self, host_namespace: &str, host_name: &str) -> Map<String, Value> {
        // Register the kind, so that the record can be read back: only known kinds are.
        self.kind.register();
        let mut annotations = Map::new();
        let mut set = |key: &str, value: String| annotations.insert(key.to_owned(), Value::String(value));
        set(CLUSTER, self.cluster.clone());
        set(KIND, self.kind.to_string());
        if !self.namespace.is_empty() {
            set(NAMESPACE, self.namespace.clone());
        }
        set(NAME, self.name.clone());
        if !self.uid.is_empty() {
            set(UID, self.uid.clone());
        }
        let path = host_path(host_namespace, host_name);
        set(CHECKSUM, self.checksum(&path));
        set(HOST_NAME, path);
        annotations
    }

    /// Checksum of the record on the host object with this path. It finds damage, and is no secret.
    fn checksum(&self, host_path: &str) -> String {
        let Self { cluster, kind, namespace, name, uid } = self;
        let mut sum = digest::of_parts("owner", &[cluster, &kind.to_string(), namespace, name, uid, host_path]);
        sum.truncate(CHECKSUM_LENGTH);
        sum
    }

    /// Returns the labels that go with the record, for a virtual cluster named `vc`.
    pub fn labels(&self, vc: &str) -> Map<String, Value> {
        let mut labels = Map::new();
        labels.insert(MANAGED_BY.to_owned(), vc.into());
        if !self.namespace.is_empty() {
            labels.insert(NAMESPACE.to_owned(), self.namespace.as_str().into());
        }
        labels
    }

    /// Reads the record from the `metadata` of a host object, for the virtual cluster named `vc`
    /// with the id `cluster`.
    pub fn read(metadata: &Value, vc: &str, cluster: &str) -> Ownership {
        match read(metadata, vc, cluster) {
            Ok(record) => Ownership::Ours(record),
            Err(why) => Ownership::Foreign(why),
        }
    }
}

impl Ownership {
    /// Returns the record if the object is ours. The record of a reservation has no UID.
    pub fn ours(self) -> Option<OwnerRecord> {
        match self {
            Self::Ours(record) => Some(record),
            Self::Foreign(_) => None,
        }
    }
}

fn read(metadata: &Value, vc: &str, cluster: &str) -> Result<OwnerRecord, Foreign> {
    let text = |map: &str, key: &str| metadata.get(map).and_then(|map| map.get(key)).and_then(Value::as_str);
    let annotation = |key| text("annotations", key);
    let needed = |key| annotation(key).filter(|text| !text.is_empty()).ok_or(Foreign::Missing(key)).map(str::to_owned);
    let label = |key| text("labels", key);

    if label(MANAGED_BY).is_none()
        && [CLUSTER, KIND, NAME, UID, HOST_NAME, CHECKSUM].iter().all(|key| annotation(key).is_none())
    {
        return Err(Foreign::NoRecord);
    }
    match label(MANAGED_BY) {
        None => return Err(Foreign::Missing(MANAGED_BY)),
        Some(other) if other != vc => return Err(Foreign::OtherName(other.to_owned())),
        Some(_) => {}
    }
    let record = OwnerRecord {
        cluster: needed(CLUSTER)?,
        kind: kind(needed(KIND)?)?,
        namespace: annotation(NAMESPACE).unwrap_or_default().to_owned(),
        name: needed(NAME)?,
        uid: match annotation(PENDING) {
            Some(since) if annotation(UID).is_none() && since.parse::<u64>().is_ok() => String::new(),
            _ => needed(UID)?,
        },
    };
    let recorded = needed(HOST_NAME)?;
    let own = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    let actual = host_path(own("namespace"), own("name"));
    if recorded != actual {
        return Err(Foreign::Copied { recorded, actual });
    }
    let label = label(NAMESPACE).unwrap_or_default();
    if label != record.namespace {
        return Err(Foreign::Namespaces { label: label.to_owned(), record: record.namespace });
    }
    if needed(CHECKSUM)? != record.checksum(&actual) {
        return Err(Foreign::Damaged);
    }
    if record.cluster != cluster {
        return Err(Foreign::OtherCluster(record.cluster));
    }
    Ok(record)
}

/// The kind that a record names. The text is a cluster's: it is looked up, never interned.
fn kind(text: String) -> Result<GroupKind, Foreign> {
    GroupKind::lookup(&text).ok_or(Foreign::UnknownKind(text))
}

fn host_path(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn record() -> OwnerRecord {
        OwnerRecord {
            cluster: "c-id".to_owned(),
            kind: GroupKind::core("Pod"),
            namespace: "default".to_owned(),
            name: "nginx".to_owned(),
            uid: "u-1".to_owned(),
        }
    }

    fn metadata(record: &OwnerRecord) -> Value {
        json!({
            "namespace": "team-a",
            "name": "nginx-x-default-x-vc",
            "labels": record.labels("vc"),
            "annotations": record.annotations("team-a", "nginx-x-default-x-vc"),
        })
    }

    #[test]
    fn what_was_written_is_read_back() {
        let cluster_scoped = OwnerRecord { namespace: String::new(), ..record() };
        for record in [record(), cluster_scoped] {
            assert_eq!(OwnerRecord::read(&metadata(&record), "vc", "c-id"), Ownership::Ours(record));
        }
    }

    #[test]
    fn a_record_that_lacks_a_key_is_none() {
        for key in [CLUSTER, KIND, NAME, UID, HOST_NAME, CHECKSUM] {
            for damage in [json!(""), json!(null), json!(7), json!({})] {
                let mut metadata = metadata(&record());
                metadata["annotations"][key] = damage;
                assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), Ownership::Foreign(Foreign::Missing(key)));
            }
        }
    }

    #[test]
    fn a_reservation_has_no_uid_and_says_since_when() {
        let reserved = OwnerRecord { uid: String::new(), ..record() };
        let mut metadata = metadata(&reserved);
        let missing = Ownership::Foreign(Foreign::Missing(UID));
        assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), missing);
        for (since, is_ours) in [("1800000000", true), ("", false), ("-1", false), ("today", false)] {
            metadata["annotations"][PENDING] = json!(since);
            let read = OwnerRecord::read(&metadata, "vc", "c-id");
            assert_eq!(read, if is_ours { Ownership::Ours(reserved.clone()) } else { missing.clone() }, "{since:?}");
        }
        metadata["annotations"][PENDING] = json!("1800000000");
        metadata["annotations"][UID] = json!("");
        assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), missing);
    }

    #[test]
    fn a_record_that_disagrees_is_none() {
        for (pointer, value, why) in [
            ("/labels/tenet.sh~1managed-by", "other", "it belongs to the virtual cluster \"other\""),
            (
                "/name",
                "copy",
                "its owner record names the host object \"team-a/nginx-x-default-x-vc\", but it is \"team-a/copy\"",
            ),
            (
                "/labels/tenet.sh~1namespace",
                "other",
                "its label names the namespace \"other\", but its owner record names \"default\"",
            ),
        ] {
            let mut metadata = metadata(&record());
            *metadata.pointer_mut(pointer).unwrap() = json!(value);
            match OwnerRecord::read(&metadata, "vc", "c-id") {
                Ownership::Foreign(reason) => assert_eq!(reason.to_string(), why),
                Ownership::Ours(record) => panic!("{pointer}: {record:?}"),
            }
        }
    }

    #[test]
    fn a_record_of_which_any_part_was_changed_is_damaged() {
        for (key, value) in
            [(CLUSTER, "c-2"), (KIND, "Secret"), (NAME, "other"), (UID, "u-2"), (CHECKSUM, "aaaaaaaaaaaa")]
        {
            GroupKind::core("Secret").register();
            let mut metadata = metadata(&record());
            metadata["annotations"][key] = json!(value);
            assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), Ownership::Foreign(Foreign::Damaged), "{key}");
        }
        let mut metadata = metadata(&record());
        metadata["annotations"][UID] = json!(null);
        metadata["annotations"][PENDING] = json!("1800000000");
        assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), Ownership::Foreign(Foreign::Damaged), "no reservation");
    }

    #[test]
    fn the_record_of_another_cluster_of_the_same_name_says_so() {
        let other = OwnerRecord { cluster: "c-2".to_owned(), ..record() };
        let read = OwnerRecord::read(&metadata(&other), "vc", "c-id");
        assert_eq!(read, Ownership::Foreign(Foreign::OtherCluster("c-2".to_owned())));
    }

    #[test]
    fn two_kinds_of_one_name_in_two_groups_have_two_records() {
        let of = |kind| OwnerRecord { kind, ..record() };
        let [ingress, other] = ["networking.k8s.io", "networking.internal.knative.dev"]
            .map(|group| of(GroupKind::intern(group, "Ingress")));
        let metadata = metadata(&ingress);
        assert_eq!(metadata["annotations"][KIND], "Ingress.networking.k8s.io");
        let read = OwnerRecord::read(&metadata, "vc", "c-id");
        assert_eq!(read, Ownership::Ours(ingress));
        assert_ne!(read, Ownership::Ours(other));
    }

    #[test]
    fn a_record_that_names_an_unknown_kind_is_foreign_and_its_text_is_not_kept() {
        let mut metadata = metadata(&record());
        for kind in ["Thing", "Thing.crafted.example.com", "Pod.", "Pod.crafted.example.com"] {
            metadata["annotations"][KIND] = json!(kind);
            let read = OwnerRecord::read(&metadata, "vc", "c-id");
            assert_eq!(read, Ownership::Foreign(Foreign::UnknownKind(kind.to_owned())));
        }
        assert_eq!(["Thing", "crafted.example.com"].map(crate::intern::lookup), [None, None]);
    }

    #[test]
    fn what_carries_nothing_of_ours_says_so() {
        for metadata in [json!(null), json!({}), json!({"labels": {"app": "a"}, "annotations": {"b": "c"}}), json!([1])]
        {
            assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), Ownership::Foreign(Foreign::NoRecord));
        }
        let metadata = json!({"annotations": record().annotations("a", "b")});
        assert_eq!(OwnerRecord::read(&metadata, "vc", "c-id"), Ownership::Foreign(Foreign::Missing(MANAGED_BY)));
    }

    proptest! {
        #[test]
        fn any_other_text_in_a_record_makes_it_foreign(
            key in prop::sample::select(vec![CLUSTER, KIND, NAMESPACE, NAME, UID, HOST_NAME, CHECKSUM]),
            text in ".*",
        ) {
            let mut metadata = metadata(&record());
            metadata["annotations"][key] = json!(text);
            if let Ownership::Ours(read) = OwnerRecord::read(&metadata, "vc", "c-id") {
                prop_assert!(read == record() && metadata == self::metadata(&record()));
            }
        }
    }
}
