#!/usr/bin/env bash
# Checks the promises of the container image: static, small, no root user, the same from every folder.
#
# It builds the image twice, from two copies of the sources in folders of different names.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=$((15 * 1024 * 1024))

fail() { echo "image/check.sh: $*" >&2; exit 1; }

built() {
  local copy=$1
  rm -rf "$copy"
  mkdir -p "$copy"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory "$copy"
  CARGO_TARGET_DIR=$copy/target "$copy/image/build.sh" "$copy/image.tar"
}

first=$(realpath -m "target/image/first") second=$(realpath -m "target/image/another/second")
# The tool that writes the SBOM is no part of the image: both builds take the same one.
export TENET_IMAGE_TOOLS=$first/target/tools
built "$first" | tail -n 1
built "$second" | tail -n 1

binary=$first/out/usr/local/bin/tenet-syncer
readelf --program-headers "$binary" | grep -q INTERP && fail "$binary is not static"
size=$(du --summarize --bytes "$first/out" | cut -f 1)
[ "$size" -le "$limit" ] || fail "the files of the image have $size bytes, more than $limit"
strings -n 8 "$binary" | grep -m 1 -F -e "$first" -e "${CARGO_HOME:-$HOME/.cargo}" && fail "$binary contains a path of this machine"
cmp "$binary" "$second/out/usr/local/bin/tenet-syncer" || fail "two builds give two binaries"
# The archives differ in the times of their entries; the digest of the manifest covers everything else.
digest() { tar --extract --to-stdout --file "$1" index.json; }
[ "$(digest "$first/image.tar")" = "$(digest "$second/image.tar")" ] || fail "two builds give two images"
"$binary" --help >/dev/null || fail "$binary does not start"
rm -rf "$second"
