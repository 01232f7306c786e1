//! Volumes: sources that live in the virtual cluster cross, all others are refused.

use tenet_mapper::rules::{Rule, copy, reference, refuse, set};

/// The parts of the table, each with its prefix.
pub fn parts() -> Vec<(String, &'static [Rule])> {
    let at = |rest: &str| format!("spec.volumes[].{rest}");
    vec![
        ("spec.volumes[]".to_owned(), VOLUME),
        (at("configMap"), FILES),
        (at("secret"), FILES),
        (at("projected.sources[].configMap"), ITEMS),
        (at("projected.sources[].secret"), ITEMS),
        (at("downwardAPI"), FIELDS),
        (at("projected.sources[].downwardAPI"), FIELDS),
    ]
}

const STORAGE: &str = "storage does not cross yet";
const FOREIGN: &str = "reaches storage outside of the virtual cluster";

const VOLUME: &[Rule] = &[
    refuse("awsElasticBlockStore", FOREIGN),
    refuse("azureDisk", FOREIGN),
    refuse("azureFile", FOREIGN),
    refuse("cephfs", FOREIGN),
    refuse("cinder", FOREIGN),
    reference("configMap.name", "ConfigMap"),
    copy("downwardAPI.defaultMode"),
    copy("downwardAPI.defaultUser"),
    refuse("csi", FOREIGN),
    copy("emptyDir.medium"),
    copy("emptyDir.mode"),
    copy("emptyDir.sizeLimit"),
    refuse("ephemeral", STORAGE),
    refuse("fc", FOREIGN),
    refuse("flexVolume", FOREIGN),
    refuse("flocker", FOREIGN),
    refuse("gcePersistentDisk", FOREIGN),
    refuse("gitRepo", "runs git on the node"),
    refuse("glusterfs", FOREIGN),
    refuse("hostPath", "is a folder of the node"),
    copy("image.pullPolicy"),
    copy("image.reference"),
    refuse("iscsi", FOREIGN),
    copy("name"),
    refuse("nfs", FOREIGN),
    refuse("persistentVolumeClaim", STORAGE),
    refuse("photonPersistentDisk", FOREIGN),
    refuse("portworxVolume", FOREIGN),
    copy("projected.defaultMode"),
    copy("projected.defaultUser"),
    refuse("projected.sources[].clusterTrustBundle", "trust bundles do not cross yet"),
    reference("projected.sources[].configMap.name", "ConfigMap"),
    refuse("projected.sources[].podCertificate", "certificates of pods do not cross yet"),
    reference("projected.sources[].secret.name", "Secret"),
    set("projected.sources[].serviceAccountToken", "the virtual API server mints the token, into a Secret"),
    refuse("quobyte", FOREIGN),
    refuse("rbd", FOREIGN),
    refuse("scaleIO", FOREIGN),
    reference("secret.secretName", "Secret"),
    refuse("storageos", FOREIGN),
    refuse("vsphereVolume", FOREIGN),
];

/// A volume that is one ConfigMap or Secret.
const FILES: &[Rule] = &[
    copy("defaultMode"),
    copy("defaultUser"),
    copy("items[].key"),
    copy("items[].mode"),
    copy("items[].path"),
    copy("items[].user"),
    copy("optional"),
];

/// A source of a projected volume.
const ITEMS: &[Rule] =
    &[copy("items[].key"), copy("items[].mode"), copy("items[].path"), copy("items[].user"), copy("optional")];

/// Fields of the pod as files.
const FIELDS: &[Rule] = &[
    copy("items[].fieldRef.apiVersion"),
    set("items[].fieldRef.fieldPath", "shows the virtual value"),
    copy("items[].mode"),
    copy("items[].path"),
    copy("items[].resourceFieldRef.containerName"),
    copy("items[].resourceFieldRef.divisor"),
    copy("items[].resourceFieldRef.resource"),
    copy("items[].user"),
];
