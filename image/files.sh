#!/usr/bin/env bash
# Builds the files of the container image into DIR: `image/files.sh DIR`.
#
# Needs Rust with the target of musl, musl-gcc and git. Equal sources give equal files, whatever the folders are called.
set -euo pipefail
dir=${1:?"usage: image/files.sh DIR"}
mkdir -p "$dir"
dir=$(realpath "$dir")
cd "$(dirname "$0")/.."

target=$(uname -m)-unknown-linux-musl
command -v musl-gcc >/dev/null || { echo "musl-gcc is missing: apt-get install musl-tools" >&2; exit 1; }
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target"

# Time in the SBOM and in the layer.
export SOURCE_DATE_EPOCH=0
# The C compiler of the crates that need one. The path of a source file is a part of the names of its assertions.
variable=${target//-/_}
export "CC_$variable=musl-gcc"
cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
build=$(realpath "${CARGO_TARGET_DIR:-target}")
export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$build=/target -ffile-prefix-map=$cargo_home=/cargo"
export RUSTFLAGS="--remap-path-prefix=$PWD=/src --remap-path-prefix=$build=/target --remap-path-prefix=$cargo_home=/cargo"
cargo build --release --locked --target "$target" --bin tenet-syncer
install -D -m 0755 "$build/$target/release/tenet-syncer" "$dir/usr/local/bin/tenet-syncer"

# The list of all crates in it, where scanners of images look.
tools=${TENET_IMAGE_TOOLS:-$build/tools}
[ -x "$tools/bin/cargo-cyclonedx" ] ||
  env -u RUSTFLAGS -u CFLAGS cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" cargo-cyclonedx@0.5.9
PATH=$tools/bin:$PATH cargo cyclonedx --quiet --format json --target "$target" --override-filename sbom.cdx
# Its references hold the folder of the sources.
sed "s#$PWD#/src#g" sbom.cdx.json >"$build/sbom.cdx.json"
install -D -m 0644 "$build/sbom.cdx.json" "$dir/usr/share/sbom/tenet-syncer.cdx.json"
# It writes one for each package of the workspace.
find . -name sbom.cdx.json -not -path './target/*' -delete
