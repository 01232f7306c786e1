//! Volumes: those made of the virtual cluster's own objects cross, claims among them; all others are refused.

use tenet_mapper::kinds;
use tenet_mapper::rules::{Rule, copy, reference, refuse, set};

/// The parts of the table, each with its prefix.
pub(super) fn parts() -> Vec<(String, &'static [Rule])> {
    let at = |part: &str| format!("spec.volumes[].{part}");
    vec![
        (at("configMap"), VOLUME),
        (at("secret"), VOLUME),
        (at("downwardAPI"), VOLUME),
        (at("projected"), VOLUME),
        (at("configMap"), KEYS),
        (at("secret"), KEYS),
        (at("projected.sources[].configMap"), KEYS),
        (at("projected.sources[].secret"), KEYS),
        (at("downwardAPI"), FIELDS),
        (at("projected.sources[].downwardAPI"), FIELDS),
        ("spec.volumes[]".to_owned(), REST),
        ("spec.volumes[]".to_owned(), REFUSED),
    ]
}

/// The node writes the files; only a host with the feature gate gives them an owner.
const USER: &str = "an older host ignores it and gives the files to root";

const VOLUME: &[Rule] = &[copy("defaultMode"), refuse("defaultUser", USER)];

const KEYS: &[Rule] =
    &[copy("items[].key"), copy("items[].mode"), copy("items[].path"), refuse("items[].user", USER), copy("optional")];

const FIELDS: &[Rule] = &[
    copy("items[].fieldRef.apiVersion"),
    set("items[].fieldRef.fieldPath", "leads to the virtual value"),
    copy("items[].mode"),
    copy("items[].path"),
    copy("items[].resourceFieldRef.containerName"),
    copy("items[].resourceFieldRef.divisor"),
    copy("items[].resourceFieldRef.resource"),
    refuse("items[].user", USER),
];

const REST: &[Rule] = &[
    reference("configMap.name", kinds::CONFIG_MAP.group_kind()),
    copy("csi.driver").because("is one of pods.csiDrivers of the configuration; a pod with another is refused"),
    copy("csi.fsType"),
    reference("csi.nodePublishSecretRef.name", kinds::SECRET.group_kind()),
    copy("csi.readOnly"),
    copy("csi.volumeAttributes{}")
        .because("the driver reads them; an operator allows one that may read those of a tenant"),
    copy("emptyDir.medium"),
    refuse("emptyDir.mode", "an older host ignores it and lets everybody write"),
    copy("emptyDir.sizeLimit"),
    copy("image.pullPolicy"),
    copy("image.reference"),
    copy("name"),
    set("hostPath", "mounts a directory of the node; only the preset host-logs permits directories of logs"),
    set("ephemeral", "names the claim that the virtual controller makes for it").sealed(CLAIMS),
    reference("persistentVolumeClaim.claimName", kinds::PERSISTENT_VOLUME_CLAIM.group_kind()),
    copy("persistentVolumeClaim.readOnly"),
    reference("projected.sources[].configMap.name", kinds::CONFIG_MAP.group_kind()),
    reference("projected.sources[].secret.name", kinds::SECRET.group_kind()),
    set("projected.sources[].clusterTrustBundle", "becomes a Secret with the certificates of the virtual bundles"),
    set("projected.sources[].podCertificate", "becomes a Secret with a certificate of a signer of the virtual cluster"),
    set("projected.sources[].serviceAccountToken", "becomes a Secret with a token of the virtual API server"),
    reference("secret.secretName", kinds::SECRET.group_kind()),
];

/// No table translates names below a refused field, and a tenant would choose among the objects of the host namespace:
/// the credentials of the control plane are among them.
const SECRETS: &str = "names Secrets, which would be those of the host namespace";
const CLAIMS: &str = "names claims, which would be those of the host namespace";
const OUTSIDE: &str = "the node would mount storage from outside of the virtual cluster";

const REFUSED: &[Rule] = &[
    refuse("awsElasticBlockStore", OUTSIDE),
    refuse("azureDisk", OUTSIDE),
    refuse("azureFile", OUTSIDE).sealed(SECRETS),
    refuse("cephfs", OUTSIDE).sealed(SECRETS),
    refuse("cinder", OUTSIDE).sealed(SECRETS),
    refuse("fc", OUTSIDE),
    refuse("flexVolume", OUTSIDE).sealed(SECRETS),
    refuse("flocker", OUTSIDE),
    refuse("gcePersistentDisk", OUTSIDE),
    refuse("gitRepo", "runs git on the node"),
    refuse("glusterfs", OUTSIDE).sealed("names Endpoints, which would be those of the host namespace"),
    refuse("iscsi", OUTSIDE).sealed(SECRETS),
    refuse("nfs", OUTSIDE),
    refuse("photonPersistentDisk", OUTSIDE),
    refuse("portworxVolume", OUTSIDE),
    refuse("quobyte", OUTSIDE),
    refuse("rbd", OUTSIDE).sealed(SECRETS),
    refuse("scaleIO", OUTSIDE).sealed(SECRETS),
    refuse("storageos", OUTSIDE).sealed(SECRETS),
    refuse("vsphereVolume", OUTSIDE),
];
