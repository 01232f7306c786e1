//! Images of an installation, made of programs of this machine: there may be no registry.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    component::Component,
    components::Components,
    real_node::{Image, LayerFiles},
};

/// Image of CoreDNS.
pub(super) const COREDNS: &str = "tenet.sh/real/coredns:1";

/// Values that name the images.
pub(super) const VALUES: &str = "\
# The images on the nodes of this host. There is no registry behind their names.
images:
  etcd: tenet.sh/real/etcd:1
  kine: tenet.sh/real/kine:1
  apiServer: tenet.sh/real/kube-apiserver:1
  controllerManager: tenet.sh/real/kube-controller-manager:1
  syncer: tenet.sh/real/tenet-syncer:1
syncer:
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

/// Writes the images as one archive. The syncer is a program and the words that it starts with.
pub(super) fn write(components: &Components, syncer: &(PathBuf, Vec<String>), archive: &Path) -> io::Result<()> {
    let mut images = Vec::new();
    for (component, starts) in PROGRAMS {
        images.push(image(component.name(), components.path(component), starts.then_some(&[][..]))?);
    }
    let (program, words) = syncer;
    images.push(image("tenet-syncer", program, Some(words))?);
    Image::write_all(&images, archive)
}

fn image(name: &str, program: &Path, starts_with: Option<&[String]>) -> io::Result<Image> {
    let path = format!("/bin/{}", program.file_name().unwrap_or_default().to_string_lossy());
    let mut files = LayerFiles::default();
    files.program(&path, program)?;
    let entry = starts_with.map(|words| std::iter::once(path).chain(words.iter().cloned()).collect());
    Ok(Image {
        names: vec![format!("tenet.sh/real/{name}:1")],
        layers: vec![files.into_layer()?],
        entry: entry.unwrap_or_default(),
        env: vec!["PATH=/bin".to_owned()],
        ..Image::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_name_every_image() {
        for name in PROGRAMS.map(|(component, _)| component.name()).into_iter().chain(["tenet-syncer"]) {
            assert!(VALUES.contains(&format!("tenet.sh/real/{name}:1")), "{name}");
        }
        assert!(VALUES.contains(COREDNS));
    }
}
