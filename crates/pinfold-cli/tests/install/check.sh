#!/usr/bin/env bash
# Installs the command into an empty root and runs it in an empty directory: every incident that it
# carries must do there what the verdicts that it carries say. (The table of the weak model is run
# by the command's own tests.)
set -euo pipefail
crate=$(cd "$(dirname "$0")/../.." && pwd)
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
mkdir "$empty/root" "$empty/work"

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$crate/../../target}
cargo install --quiet --locked --offline --no-track --path "$crate" --root "$empty/root"
cd "$empty/work"
"$empty/root/bin/pinfold" matrix --expect verdicts --time 120
[ -z "$(ls -A)" ] || { echo "the matrix left files in the directory"; exit 1; }
echo "installed: the command needs no file of the repository"
