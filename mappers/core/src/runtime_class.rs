//! `RuntimeClass`es: a picture of each class of the host that pods of tenants may use. The API server inside refuses a
//! pod whose class does not exist there.

use tenet_mapper::rules::{Rule, omit, set, up};
use tenet_mapper::{Kind, MapperSpec};

use crate::class::{ClassMapper, ClassPicture};
use crate::pod::Pods;

/// `RuntimeClass`es, as the API serves them.
pub(crate) const KIND: Kind = Kind::of("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses").cluster_scoped();

const PICTURE: ClassPicture =
    ClassPicture { is_allowed: |cx, class| cx.section::<Pods>().may_use_runtime(class), default: None };

const RULES: &[Rule] = &[
    set("apiVersion", "is the same on both sides"),
    set("kind", "is the same on both sides"),
    set("metadata", "the name"),
    up("handler"),
    up("overhead").because("counts in the quotas inside"),
    omit("scheduling", "the host adds it to the pods that use the class"),
];

/// Shows the `RuntimeClass`es of the host that tenants may use.
pub(crate) fn mapper() -> ClassMapper {
    ClassMapper::new(MapperSpec::new("runtime-class", KIND), RULES, PICTURE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenet_mapper::Side;
    use tenet_mapper::testing::Clusters;

    use super::*;

    const CLASS: &str = "
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: kata}
handler: kata-qemu
overhead: {podFixed: {memory: 120Mi}}
scheduling: {nodeSelector: {sandbox: 'true'}}";

    #[test]
    fn a_picture_names_the_handler_and_leaves_scheduling_to_the_host() {
        let section = Pods { runtime_classes: vec!["kata".to_owned()], ..Pods::default() };
        let mut clusters = Clusters::default().with(Side::Host, CLASS).section(section);
        assert_eq!(clusters.converge(&mapper(), "", "kata"), Ok(3), "the class, and a policy with its binding");
        let shown = clusters.object(Side::Virtual, KIND, "", "kata").unwrap();
        assert_eq!(shown.str_at("/handler"), Some("kata-qemu"));
        assert_eq!(shown.at("/overhead"), Some(&json!({"podFixed": {"memory": "120Mi"}})));
        assert_eq!(shown.at("/scheduling"), None);
        let mut hidden = Clusters::default().with(Side::Host, CLASS);
        assert_eq!(hidden.converge(&mapper(), "", "kata"), Ok(0));
    }
}
