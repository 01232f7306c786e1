//! The section `storage` of the configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenet_mapper::format::KeyGlob;
use tenet_mapper::translate::labels::Globs;
use tenet_mapper::{Context, HostKey, Object};

use crate::storage_class;

/// Storage that tenants may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Storage {
    /// Globs of names of host `StorageClass`es that tenants may use and see; `*` is all of them. The default class of
    /// the host is always allowed.
    #[schemars(with = "Vec<KeyGlob>")]
    pub classes: Vec<String>,
    /// Labels of host `StorageClass`es that tenants may use and see as well, which takes the right to read them.
    pub class_labels: BTreeMap<String, String>,
    /// Globs of names of host `VolumeSnapshotClass`es that tenants may use and see; `*` is all of them. The default
    /// class of a driver is always allowed.
    #[schemars(with = "Vec<KeyGlob>")]
    pub snapshot_classes: Vec<String>,
    /// Allows claims with an empty class, which the host binds to any volume without a class.
    pub allow_empty_class: bool,
}

impl Storage {
    /// Returns true if tenants may use a class of the host that was read.
    pub(crate) fn shows(&self, class: &Object) -> bool {
        let has = |(key, value): (&String, &String)| class.label(key) == Some(value);
        storage_class::is_default(class)
            || Globs::new(&self.classes).matches(class.name())
            || (!self.class_labels.is_empty() && self.class_labels.iter().all(has))
    }

    /// Returns the reason why claims may not name a class.
    pub(super) fn refusal(&self, cx: &Context<'_>, name: &str) -> Option<String> {
        if name.is_empty() {
            let why = "an empty class takes any volume of the host that has none; see storage.allowEmptyClass";
            return (!self.allow_empty_class).then(|| why.to_owned());
        }
        let is_shown = || cx.host(storage_class::KIND, &HostKey::new("", name)).is_some_and(|class| self.shows(&class));
        let is_allowed = Globs::new(&self.classes).matches(name) || is_shown();
        (!is_allowed).then(|| format!("the class {name} is not in storage.classes of the configuration"))
    }
}
