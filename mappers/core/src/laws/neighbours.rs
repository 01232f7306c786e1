//! Law of the neighbours: two virtual clusters whose objects have equal names share a host namespace, and neither
//! touches a copy of the other.

use serde_json::{Value, json};
use tenet_mapper::testing::{Clusters, HOST_NAMESPACE};
use tenet_mapper::translate::names::{NameScheme, Names};
use tenet_mapper::{Mapper, Side};

use super::{COPIES, NAMESPACE, copied, copy, mapper, samples, world};

/// The same world as another virtual cluster sees it.
fn of_neighbour(mapper: &dyn Mapper, virt: &Value, scheme: NameScheme) -> Clusters {
    world(mapper, virt).facts(|facts| {
        facts.names = Names::new("vc-2", HOST_NAMESPACE, scheme);
        facts.cluster_id = "00000000-0000-0000-0000-00000000c1d1".to_owned();
    })
}

#[test]
fn two_virtual_clusters_with_equal_names_in_one_host_namespace_leave_each_other_alone() {
    for id in COPIES.into_iter().filter(|id| *id != "endpoint-slice") {
        let mapper = mapper(id);
        let kind = mapper.spec().kind;
        let mut seen = 0;
        for scheme in [NameScheme::Tenet, NameScheme::Vcluster] {
            for virt in samples(kind.kind) {
                let Some(first) = copied(mapper.as_ref(), &virt) else { continue };
                let name = virt["metadata"]["name"].as_str().unwrap();
                let mut clusters = of_neighbour(mapper.as_ref(), &virt, scheme);
                clusters.put(Side::Host, first.clone());
                let mut second = virt.clone();
                clusters.put(Side::Virtual, second.clone());
                clusters.converge(mapper.as_ref(), NAMESPACE, name).unwrap();
                let found = |clusters: &Clusters| {
                    let name = first["metadata"]["name"].as_str().unwrap();
                    clusters.object(Side::Host, kind, HOST_NAMESPACE, name).map(|object| object.value().clone())
                };
                let own = copy(&clusters, mapper.as_ref(), &second).unwrap_or_else(|| panic!("no copy of {id} {name}"));
                assert_ne!(own["metadata"]["name"], first["metadata"]["name"]);
                assert_eq!(found(&clusters).as_ref(), Some(&first), "{id} {name}");

                second["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
                clusters.put(Side::Virtual, second);
                clusters.converge(mapper.as_ref(), NAMESPACE, name).unwrap();
                assert_eq!(found(&clusters).as_ref(), Some(&first), "{id} {name}");
                seen += 1;
            }
        }
        assert!(seen > 0, "{id}");
    }
}
