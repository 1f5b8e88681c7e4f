#!/usr/bin/env bash
# Installs the command into an empty root and runs it in an empty directory: incidents that it carries
# must do there what the verdicts that it carries say. (The command's own tests run all of them.)
set -euo pipefail
crate=$(cd "$(dirname "$0")/../.." && pwd)
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
mkdir "$empty/root" "$empty/work"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$crate/../../target}
cargo install --quiet --locked --offline --no-track --path "$crate" --root "$empty/root"
cd "$empty/work"
"$empty/root/bin/pinfold" matrix bug-215616 file-pin memcg-move uffd-minor --expect verdicts --time 120
[ -z "$(ls -A)" ] || { echo "the matrix left files in the directory"; exit 1; }
echo "installed: the command needs no file of the repository"
