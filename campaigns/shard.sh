#!/bin/sh
# One shard of a search: shard.sh K N DIR SCENARIO [OPTIONS OF pinfold check]...
# Writes DIR/K.json for `pinfold merge`, and ends with 0 when the shard was searched, whatever was
# found: a scheduler that sees a failure would only try again. What broke is merge's to say.
# PINFOLD is the command, if it is not the one on the path.
set -eu
k=$1 n=$2 dir=$3 scenario=$4
shift 4
mkdir -p "$dir"
code=0
"${PINFOLD:-pinfold}" check "$scenario" "$@" --no-save --shard "$k/$n" --out "$dir/$k.json" \
    >"$dir/$k.txt" 2>&1 || code=$?
case $code in
    # PASS and FAIL.
    0 | 1) ;;
    # PARTIAL, which a shard by itself is; but one that a signal ended is still to be searched.
    3) ! grep -q '"incomplete": "stopped on request' "$dir/$k.json" || exit 143 ;;
    *) cat "$dir/$k.txt" >&2; exit "$code" ;;
esac
