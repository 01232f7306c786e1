//! Images of programs of this machine, because tests cannot rely on a registry.

use std::{io, path::Path};

use super::{
    RealNodeError,
    archive::{Image, LayerFiles},
};

/// Tagged image name, so that the kubelet does not pull it when it is present.
pub(super) const BUSYBOX: &str = "tenet.sh/busybox:1";
/// Image of the container that holds the namespaces of a pod.
pub(super) const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// Archive with both.
pub(super) const ARCHIVE: &str = "images.tar";

const PATH: &str = "PATH=/bin";

/// Writes the images of busybox as an archive.
pub(super) fn write(busybox: &Path, dir: &Path) -> Result<(), RealNodeError> {
    let path = dir.join(ARCHIVE);
    images(busybox)
        .and_then(|images| Image::write_all(&images, &path))
        .map_err(|source| RealNodeError::File { path: path.clone(), source })
}

fn images(busybox: &Path) -> io::Result<[Image; 2]> {
    let mut files = LayerFiles::default();
    for (folder, mode) in [("/bin", 0o755), ("/etc", 0o755), ("/root", 0o700), ("/tmp", 0o1777)] {
        files.folder(folder, mode)?;
    }
    files.tools(busybox)?;
    let layer = files.into_layer()?;
    let image = |name: &str, command: &[&str]| Image {
        names: vec![name.to_owned()],
        layers: vec![layer.clone()],
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![PATH.to_owned()],
        ..Image::default()
    };
    Ok([image(BUSYBOX, &["sh"]), image(PAUSE, &["sleep", "2147483647"])])
}
