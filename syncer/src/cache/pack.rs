//! Compression of cached objects with a dictionary: the JSON of one pod is much like that of the next,
//! and like the dictionary here, so most of it need not be stored.

use std::sync::LazyLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde_json::Value;

/// Texts that most objects share, the commonest last: LZ4 reaches back from the end.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let texts = [
        include_str!("pack/service.json"),
        include_str!("pack/kubelet_event.json"),
        include_str!("pack/scheduler_event.json"),
        include_str!("pack/virtual_event.json"),
        include_str!("pack/secret.json"),
        include_str!("pack/host_pod.json"),
        include_str!("pack/virtual_pod.json"),
    ];
    texts.iter().flat_map(|text| text.trim().bytes()).collect()
});

/// Bytes of the text of most objects: a buffer that grows to it would be copied several times.
const USUAL: usize = 4096;

/// Packs an object.
pub(super) fn pack(object: &Value) -> Option<Box<[u8]>> {
    let mut json = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut json, object).ok()?;
    Some(compress_prepend_size_with_dict(&json, &DICTIONARY).into_boxed_slice())
}

/// Unpacks the output of [`pack`].
pub(super) fn unpack(packed: &[u8]) -> Option<Value> {
    let json = decompress_size_prepended_with_dict(packed, &DICTIONARY).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_takes_a_fraction_of_its_text() {
        let mut pod: Value = serde_json::from_str(include_str!("pack/virtual_pod.json")).unwrap();
        pod["metadata"]["name"] = json!("another-6d4cf56db6-abcde");
        pod["metadata"]["uid"] = json!("0f0e0d0c-0b0a-0908-0706-050403020100");
        pod["status"]["podIP"] = json!("10.244.3.77");
        let packed = pack(&pod).unwrap();
        assert!(packed.len() * 4 < pod.to_string().len(), "{} of {}", packed.len(), pod.to_string().len());
        assert_eq!(unpack(&packed), Some(pod));
    }

    #[test]
    fn the_events_of_a_pod_take_a_fraction_of_their_text() {
        let other = |text: &str| {
            let text = text
                .replace("web-5fc9f4bf66-zj4rc", "api-6d4cf56db6-abcde")
                .replace("18ba4c2c5d3f7a61", "17bb3d4e5f6a7081");
            let text = text.replace("667d3285-4adf-4fec-bbca-eef3e6be478e", "0f0e0d0c-0b0a-0908-0706-050403020100");
            let text = text.replace("c3b1a7de-52c4-4a0e-9d2f-6b8f0d9e4a73", "1f1e1d1c-1b1a-1918-1716-151413121110");
            let text = text.replace("e58ed763-928c-4155-bee9-fdbaaadc15f3", "2f2e2d2c-2b2a-2928-2726-252423222120");
            text.replace("10:41:40", "11:52:07")
                .replace("node-1", "worker-7")
                .replace("vdcsm3u2zlpe3rzc63ztmsbmgm", "k7wq2n5xo3fjr6ha4tbcye1dgm")
        };
        for text in [
            include_str!("pack/kubelet_event.json"),
            include_str!("pack/scheduler_event.json"),
            include_str!("pack/virtual_event.json"),
        ] {
            let event: Value = serde_json::from_str(&other(text)).unwrap();
            let packed = pack(&event).unwrap();
            assert!(packed.len() * 2 < event.to_string().len(), "{} of {}", packed.len(), event.to_string().len());
            assert_eq!(unpack(&packed), Some(event));
        }
    }

    #[test]
    fn what_was_not_packed_is_no_object() {
        assert_eq!(unpack(b""), None);
        assert_eq!(unpack(b"\x05\0\0\0nonsense"), None);
    }

    proptest! {
        #[test]
        fn every_object_comes_back(keys in prop::collection::btree_map("[a-z./]{0,12}", ".{0,40}", 0..20)) {
            let object = json!(keys);
            prop_assert_eq!(unpack(&pack(&object).unwrap()), Some(object));
        }
    }
}
