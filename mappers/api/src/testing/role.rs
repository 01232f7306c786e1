//! The rules of a Role, for tests of the manifests of a mapper.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{MapperSpec, Side};

/// Returns the `rules` of the Role that grants all rights of a mapper on one side: one for each resource, its verbs in
/// the order of the alphabet.
///
/// ```
/// use serde_json::json;
/// use tenet_mapper::rules::Table;
/// use tenet_mapper::{MapperSpec, Side, kinds, testing};
///
/// let spec = MapperSpec::both_sides("secret", kinds::SECRET, Table::default());
/// let verbs = ["create", "delete", "get", "list", "patch", "watch"];
/// let role = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]);
/// assert_eq!(testing::rules(&spec, Side::Host), role);
/// ```
pub fn rules(spec: &MapperSpec, side: Side) -> Value {
    let mut verbs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for right in spec.rights().into_iter().filter(|right| right.side == side) {
        let of_resource = verbs.entry((right.group().to_owned(), right.resource())).or_default();
        of_resource.extend(right.verbs.iter().map(|verb| verb.as_str()));
    }
    let rule = |((group, resource), verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    verbs.into_iter().map(rule).collect()
}
