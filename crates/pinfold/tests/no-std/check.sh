#!/bin/sh
# Proves that the core needs no std: sh crates/pinfold/tests/no-std/check.sh
# The second build is the control: with std it must fail, and for the reason that the proof rests on.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-../../../../target}/no-std
cargo build --release --locked --target-dir "$target"
if control=$(cargo build --release --locked --features control --target-dir "$target" 2>&1); then
    echo "the control was built although it pulls std in: this check proves nothing" >&2
    exit 1
fi
case $control in
*'duplicate lang item `panic_impl`'* | *'found duplicate lang item'*) ;;
*) echo "the control failed for another reason:" >&2; echo "$control" >&2; exit 1 ;;
esac
echo "the core builds without std"
