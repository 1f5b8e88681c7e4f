#!/bin/sh
# Proves that the rules need no heap: sh crates/pinfold-rules/tests/no-heap/check.sh
# The second build is the control: with a heap it must fail, and for the reason that the proof rests on.
set -eu
cd "$(dirname "$0")"
needs=$(cargo tree -e normal -p pinfold-rules --prefix none --manifest-path ../../Cargo.toml | sed 's/ .*//' | sort | xargs)
[ "$needs" = "pinfold-rules" ] || { echo "the rules need more than they should: $needs" >&2; exit 1; }
target=${CARGO_TARGET_DIR:-../../../../target}/no-heap
cargo build --release --locked --target-dir "$target"
if control=$(cargo build --release --locked --features control --target-dir "$target" 2>&1); then
    echo "the control was built although it has a heap: this check proves nothing" >&2
    exit 1
fi
case $control in
*'no global memory allocator found'*) ;;
*) echo "the control failed for another reason:" >&2; echo "$control" >&2; exit 1 ;;
esac
echo "the rules build without a heap, and depend on nothing"
