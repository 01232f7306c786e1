//! Images of an installation, made of programs of this machine: there may be no registry.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    component::Component,
    components::Components,
    real_host::DistroProgram,
    real_node::{Image, Layer, LayerFiles},
};

/// Image of CoreDNS.
pub(super) const COREDNS: &str = "tenet.sh/real/coredns:1";

/// Values that name the images of the distro `k8s`.
const VALUES: &str = "\
# The images on the nodes of this host. There is no registry behind their names.
images:
  etcd: tenet.sh/real/etcd:1
  kine: tenet.sh/real/kine:1
  apiServer: tenet.sh/real/kube-apiserver:1
  controllerManager: tenet.sh/real/kube-controller-manager:1
  syncer: tenet.sh/real/tenet-syncer:1
DISTROSsyncer:
  config:
    coredns: { image: tenet.sh/real/coredns:1 }
";

/// Programs of the images, and whether the image starts its program by itself.
const PROGRAMS: [(Component, bool); 5] = [
    (Component::Etcd, false),
    (Component::Kine, true),
    (Component::ApiServer, false),
    (Component::ControllerManager, false),
    (Component::CoreDns, true),
];

/// Returns the values that name the images.
pub(super) fn values(distros: &[DistroProgram]) -> String {
    let line = |distro: &DistroProgram| format!("  {}: {}\n", distro.name(), name(distro.name()));
    VALUES.replace("DISTROS", &distros.iter().map(line).collect::<Vec<_>>().concat())
}

fn name(program: &str) -> String {
    format!("tenet.sh/real/{program}:1")
}

/// Writes the images as one archive. The syncer is a program and the words that it starts with.
pub(super) fn write(
    components: &Components,
    syncer: &(PathBuf, Vec<String>),
    distros: &[DistroProgram],
    archive: &Path,
) -> io::Result<()> {
    let mut images = Vec::new();
    let mut layers = BTreeMap::new();
    for (component, starts) in PROGRAMS {
        let program = component.name();
        let layer = layer(program, components.path(component))?;
        images.push(image(program, vec![layer.clone()], starts.then_some(&[][..])));
        layers.insert(program, layer);
    }
    let (program, words) = syncer;
    images.push(image("tenet-syncer", vec![layer("tenet-syncer", program)?], Some(words)));
    for distro in distros {
        let mut all = vec![layer(distro.name(), distro.path())?];
        all.extend(distro.components().iter().filter_map(|component| layers.get(component.name()).cloned()));
        images.push(image(distro.name(), all, None));
    }
    Image::write_all(&images, archive)
}

fn layer(program: &str, file: &Path) -> io::Result<Arc<Layer>> {
    let mut files = LayerFiles::default();
    files.program(&format!("/bin/{program}"), file)?;
    files.into_layer()
}

fn image(program: &str, layers: Vec<Arc<Layer>>, starts_with: Option<&[String]>) -> Image {
    let entry = |words: &[String]| std::iter::once(format!("/bin/{program}")).chain(words.iter().cloned()).collect();
    Image {
        names: vec![name(program)],
        layers,
        entry: starts_with.map(entry).unwrap_or_default(),
        env: vec!["PATH=/bin".to_owned()],
        ..Image::default()
    }
}

#[cfg(test)]
mod tests {
    use tenet_install::values::Values;

    use super::*;

    #[test]
    fn the_values_name_every_image() {
        let values = values(&[DistroProgram::K0s("/k0s".into()), DistroProgram::K3s("/k3s".into())]);
        let programs = PROGRAMS.map(|(component, _)| component.name());
        for program in programs.into_iter().chain(["tenet-syncer", "k0s", "k3s"]) {
            assert!(values.contains(&name(program)), "{program}: {values}");
        }
        assert!(values.contains(COREDNS));
        let values: Values = serde_saphyr::from_str(&values).expect("values");
        assert_eq!(values.images.k0s, Some(name("k0s")));
    }

    #[test]
    fn without_a_program_the_values_name_no_image_of_its_distro() {
        let values: Values = serde_saphyr::from_str(&values(&[])).expect("values");
        assert_eq!((values.images.k0s, values.images.k3s), (None, None));
    }
}
