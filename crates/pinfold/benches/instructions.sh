#!/bin/sh
# Counts the instructions a page of each operation with callgrind. Run from anywhere: crates/pinfold/benches/instructions.sh
# The goals are P1 and P5: 0.6 and 0.35 of the lean kernel's counts for faults. Bookkeeping only, without clear, copy,
# flush and exception entry.
set -eu
cd "$(dirname "$0")/.."
bench=$(cargo bench --bench limits --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')
case $bench in /*) ;; *) bench=$(cd ../.. && pwd)/$bench ;; esac

count() { # operation, measured function
    log=$(mktemp)
    pages=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
        --toggle-collect="limits::ops::$2*" "$bench" --once "$1" 2>"$log")
    total=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")
    rm -f "$log"
    echo $((total / pages))
}

judge() { [ "$1" -le "$2" ] && echo met || echo MISSED; }

row() { # name, count, lean kernel's count or nothing, must, stretch
    printf '%-12s %4s instructions a page' "$1" "$2"
    [ $# -lt 3 ] || printf ', lean kernel %s' "$3"
    [ $# -lt 5 ] || printf '; must %s %s, stretch %s %s' "$4" "$(judge "$2" "$4")" "$5" "$(judge "$2" "$5")"
    echo
}

pin=$(count pin pin)
unpin=$(count unpin unpin)
row pin "$pin"
row unpin "$unpin"
row pin+unpin $((pin + unpin)) 240 120 70
row "pin of one" "$(count pin-one pin)" 471
row "unpin of one" "$(count pin-one unpin)" 85
row fork "$(count fork fork)" 119
row zap "$(count zap zap)" 193
row "move alone" "$(count move-alone migrate)" 4709 2825 1648
row "beside 10k" "$(count move-beside migrate)" 4709 2825 1648
row "zero page" "$(count zero fault_all)" 891 534 311
row "first touch" "$(count touch fault_all)" 1758 1054 615
row populate "$(count populate populate)" 1758 1054 615
row reuse "$(count reuse fault_all)" 911 546 318
row copy "$(count copy fault_all)" 3002 1801 1050
row migration "$(count migrate migrate)" 4709 2825 1648
row "exit of 1G" "$(count exit exit)"
echo "map+unmap of 128M beside 1,000 areas: $(count pair pair) instructions"
echo "exit of a space with one page: $(count exit-one exit) instructions"
echo "protect of a page that splits an area of 1,000, and back: $(count split split) instructions"
echo "fork of 10,000 areas of one touched page: $(count areas fork_small) instructions an area"
