//! Law of finalizers: an object whose delete waits for one works until it is gone, and so does its copy.

use serde_json::json;
use tenet_mapper::{HostKey, Object, Side};

use super::{COPIES, HOST_NAMESPACE, NAMESPACE, copy, crossed, mapper, samples};

/// Kinds whose copies hold data, so that one that is gone is not made again.
const WITH_DATA: [&str; 2] = ["persistent-volume-claim", "volume-snapshot"];

#[test]
fn a_copy_stays_and_is_repaired_while_a_finalizer_holds_its_original() {
    for id in COPIES {
        let mapper = mapper(id);
        let (kind, mut seen) = (mapper.spec().kind, 0);
        for virt in samples(kind.kind) {
            let Some(mut clusters) = crossed(mapper.as_ref(), &virt) else { continue };
            let name = virt["metadata"]["name"].as_str().unwrap();
            let mut held = clusters.object(Side::Virtual, kind, NAMESPACE, name).map(Object::value).unwrap().clone();
            held["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
            let mut finalizers = held["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            finalizers.push(json!("example.com/hold"));
            held["metadata"]["finalizers"] = json!(finalizers);
            clusters.put(Side::Virtual, held);
            clusters.converge(mapper.as_ref(), NAMESPACE, name).unwrap();
            let kept =
                copy(&clusters, mapper.as_ref(), &virt).unwrap_or_else(|| panic!("{id} {name} has lost its copy"));
            if !WITH_DATA.contains(&id) {
                let host = HostKey::new(HOST_NAMESPACE, kept["metadata"]["name"].as_str().unwrap());
                clusters.vanish(kind, &host);
                clusters.converge(mapper.as_ref(), NAMESPACE, name).unwrap();
                assert!(copy(&clusters, mapper.as_ref(), &virt).is_some(), "{id} {name}");
            }
            seen += 1;
        }
        assert!(seen > 0, "{id}");
    }
}
