#!/usr/bin/env bash
# Builds the container image on this machine, without a daemon and without a registry: `image/build.sh [ARCHIVE]`.
#
# The files come from `image/files.sh`, everything else from the Dockerfile, whose first stage they replace. The result is
# an OCI archive, which `ctr images import`, `skopeo copy oci-archive:...` and `podman load` read.
set -euo pipefail
cd "$(dirname "$0")/.."
archive=${1:-target/image/tenet-syncer.tar}
command -v buildah >/dev/null || { echo "buildah is missing: apt-get install buildah" >&2; exit 1; }

context=$(realpath -m "$(dirname "$archive")")
rm -rf "$context/out" "$archive"
image/files.sh "$context/out"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=tenet.sh/tenet-syncer:$version
# No overlay file system and no namespace, so that it also works inside a container.
buildah() { command buildah --storage-driver vfs --root "$context/storage" --runroot "$context/run" "$@"; }
buildah bud --isolation chroot --timestamp 0 --build-context "build=$context" --tag "$name" .
buildah push --quiet "$name" "oci-archive:$archive:$name"
digest=$(tar --extract --to-stdout --file "$archive" index.json | grep -o 'sha256:[0-9a-f]*')
echo "$name@$digest: $(stat --format %s "$archive") bytes in $archive"
