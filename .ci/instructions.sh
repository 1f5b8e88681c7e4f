#!/usr/bin/env bash
# Counts the instructions of the manager's operations, and of an execution of the explorer on the
# pin that races with fork (P11), and compares with .ci/instructions.txt: nothing may be dearer by
# more than 3 %. Unlike times, the counts do not depend on what else the machine does.
#
# --record writes the file anew: do so when a change is worth what it costs, or has made something
# cheaper, and say so in the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
recorded=.ci/instructions.txt

# Nothing else is counted there: other machines have other instructions.
if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v valgrind >/dev/null; then
    echo "(SKIP: instructions are counted by valgrind, on Linux on x86-64)"
    exit 0
fi

# The instructions of a search, and of the part of it that is not its executions.
explored() { # options of check
    valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/pinfold \
        check fork-races-fast-pin --model weak --no-save --allow-partial "$@" 2>&1 >/dev/null \
        | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

# How many executions a search makes, one way or another.
executions() {
    target/release/pinfold check fork-races-fast-pin --model weak --no-save --format json \
        | awk '/^ *"(executions|blocked|pruned)":/ && !seen[$1]++ { sum += $2 } END { print sum }'
}

counted() {
    bash crates/pinfold/benches/instructions.sh --plain
    cargo build -q --release -p pinfold-cli
    local all one
    all=$(explored)
    one=$(explored --max-executions 1)
    echo "explore-exhaustive $(((all - one) / ($(executions) - 1)))"
    all=$(explored --random 600)
    one=$(explored --random 100)
    echo "explore-random $(((all - one) / 500))"
}

now=$(counted)
if [ "${1:-}" = --record ]; then
    printf '%s\n' "$now" >"$recorded"
    echo "recorded in $recorded"
    exit 0
fi
awk -v file="$recorded" '
    BEGIN { while ((getline line < file) > 0) { split(line, part, " "); was[part[1]] = part[2] } }
    {
        if (!($1 in was)) { printf "%-20s %9d  not recorded yet\n", $1, $2; bad = 1; next }
        most = int(was[$1] * 1.03) + 1
        verdict = "ok"
        if ($2 > most) { verdict = "DEARER"; bad = 1 }
        if ($2 < was[$1] * 0.97) verdict = "cheaper: record it"
        printf "%-20s %9d, recorded %9d  %s\n", $1, $2, was[$1], verdict
        delete was[$1]
    }
    END {
        for (key in was) { printf "%-20s recorded and not counted\n", key; bad = 1 }
        if (bad) print "make it cheaper, or say in the commit why not: .ci/instructions.sh --record"
        exit bad
    }' <<<"$now"
