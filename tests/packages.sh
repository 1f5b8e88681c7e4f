#!/usr/bin/env bash
# Every package builds from its own files alone: packs all of them, unpacks them side by side in an
# empty directory, and checks them there. (The check that `cargo package` brings keeps the sources
# that it unpacked by name and version, so a second run would look at those of the first.)
set -euo pipefail
cd "$(dirname "$0")/.."
apart=$(mktemp -d)
trap 'rm -rf "$apart"' EXIT

target=${CARGO_TARGET_DIR:-$PWD/target}
rm -rf "$target/package"
cargo package --quiet --workspace --no-verify --allow-dirty --offline
# As files of now: packed ones are all of one day, so that a change would not be built again.
for package in "$target"/package/*.crate; do tar -xzmf "$package" -C "$apart"; done
cp Cargo.lock rust-toolchain.toml "$apart"
cd "$apart"
{
    printf '[workspace]\nresolver = "3"\nmembers = ["*-*"]\n\n[patch.crates-io]\n'
    for package in */; do
        printf '%s = { path = "%s" }\n' "${package%-*}" "${package%/}"
    done
} >Cargo.toml
CARGO_TARGET_DIR=$target/packaged cargo check --quiet --workspace --offline
printf 'packaged: %s build apart\n' "$(ls -d */ | tr -d / | paste -sd ' ')"
