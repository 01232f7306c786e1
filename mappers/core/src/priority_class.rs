//! `PriorityClass`es: a picture of each class of the host that pods of tenants may use. The API server inside refuses a
//! pod whose class does not exist there.

use tenet_mapper::rules::{Rule, set, up};
use tenet_mapper::{Kind, MapperSpec};

use crate::class::{ClassMapper, ClassPicture};
use crate::pod::Pods;

/// `PriorityClass`es, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses").cluster_scoped();

/// Prefix of the classes that every cluster has.
const SYSTEM: &str = "system-";

const PICTURE: ClassPicture = ClassPicture {
    is_allowed: |cx, class| !class.name().starts_with(SYSTEM) && cx.section::<Pods>().may_use_priority(class),
    default: None,
};

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "the name"),
    up("value"),
    up("globalDefault"),
    up("description"),
    up("preemptionPolicy"),
];

/// Shows the `PriorityClass`es of the host that tenants may use.
pub(crate) fn mapper() -> ClassMapper {
    ClassMapper::new(MapperSpec::new("priority-class", KIND), RULES, PICTURE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_mapper::testing::Clusters;
    use tenet_mapper::{HostKey, Side};

    use super::*;

    const CLASSES: &str = "
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: batch-low}, value: 10, description: for jobs}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: web, labels: {tier: tenants}}, value: 20}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-node-critical}, value: 2000001000}";

    #[test]
    fn the_classes_that_pods_may_use_are_shown_by_name_or_label() {
        let named = Pods { priority_classes: vec!["batch-low".to_owned()], ..Pods::default() };
        let labels = [("tier".to_owned(), "tenants".to_owned())].into();
        let labelled = Pods { priority_class_labels: labels, ..Pods::default() };
        let system = Pods { priority_classes: vec!["system-node-critical".to_owned()], ..Pods::default() };
        for (section, expected) in
            [(Pods::default(), vec![]), (named, vec!["batch-low"]), (labelled, vec!["web"]), (system, vec![])]
        {
            let mut clusters = Clusters::default().with(Side::Host, CLASSES).section(section);
            let mut shown = Vec::new();
            for name in ["batch-low", "web", "system-node-critical"] {
                shown.extend((clusters.converge(&mapper(), "", name).unwrap() > 0).then_some(name));
            }
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_picture_has_the_value_of_the_host_and_goes_with_its_class() {
        let section = Pods { priority_classes: vec!["batch-low".to_owned()], ..Pods::default() };
        let mut clusters = Clusters::default().with(Side::Host, CLASSES).section(section);
        clusters.converge(&mapper(), "", "batch-low").unwrap();
        let shown = clusters.object(Side::Virtual, KIND, "", "batch-low").unwrap();
        assert_eq!((shown.at("/value"), shown.str_at("/description")), (Some(&json!(10)), Some("for jobs")));
        clusters.vanish(KIND, &HostKey::new("", "batch-low"));
        assert_eq!(clusters.converge(&mapper(), "", "batch-low"), Ok(1));
    }
}
