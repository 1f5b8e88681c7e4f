#!/bin/sh
# Proves that the explorer is invisible in the core without the feature `explore`: sh crates/pinfold/tests/invisible/check.sh
# - The core depends on nothing of the explorer, and the memory manager compiled into a program names nothing of it.
# - Each operation of pinfold::sync is compiled to the instructions of its native twin (src/).
# The second build is the control: with the feature no pair may be the same, and the explorer must be named.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-../../../../target}/invisible
mkdir -p "$target"
target=$(cd "$target" && pwd)

fail() {
    echo "$1" >&2
    exit 1
}

needs=$(cargo tree -e normal -p pinfold --prefix none --manifest-path ../../Cargo.toml | sed 's/ .*//' | sort | xargs)
[ "$needs" = "bitflags pinfold pinfold-rules" ] || fail "the core needs more than it should: $needs"

host=$(rustc -vV | sed -n 's/^host: //p')
case $host in
x86_64-*-linux-*) ;;
*)
    echo "the core needs $needs; its instructions are not compared on $host"
    exit 0
    ;;
esac

listing() { # name, features
    cargo rustc --release --locked --target-dir "$target" --features "$2" -- --emit "asm=$target/$1.s"
}
pairs() { awk -f pairs.awk "$target/$1.s" | sort; }
of() { sed -n "s/^$1 //p" | xargs; }
names() { grep -c 'pinfold_explore' "$target/$1.s" || true; }

listing plain ""
plain=$(pairs plain)
different=$(echo "$plain" | of other)
[ "$different" = differs ] || fail "not the same as their native twins, where only 'differs' should be: $different"
[ "$(names plain)" -eq 0 ] || fail "the explorer is named in a build without it"

listing control control
alike=$(pairs control | of same)
[ -z "$alike" ] || fail "the same with and without the hooks, so this check proves nothing: $alike"
[ "$(names control)" -gt 0 ] || fail "the explorer is not named in a build with it: this check proves nothing"

echo "without the explorer $(echo "$plain" | of same | wc -w) operations are the instructions of their native twins"
