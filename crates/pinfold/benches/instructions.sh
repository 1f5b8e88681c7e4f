#!/bin/sh
# Counts the instructions a page of each operation with callgrind. Run from anywhere: crates/pinfold/benches/instructions.sh
# With --plain each row is a key and its count, for .ci/instructions.sh.
# The goals are P1 and P5: 0.6 and 0.35 of the lean kernel's counts for faults. Bookkeeping only, without clear, copy,
# flush and exception entry.
set -eu
cd "$(dirname "$0")/.."
plain=${1:-}
case $plain in '' | --plain) ;; *) echo "usage: $0 [--plain]" >&2; exit 2 ;; esac
bench=$(cargo bench --bench limits --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')
[ -n "$bench" ] || { echo "the bench does not build: cargo bench --bench limits --no-run" >&2; exit 1; }
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

row() { # key, name, count, unit, lean kernel's count or nothing, must, stretch
    if [ -n "$plain" ]; then
        echo "$1 $3"
        return
    fi
    printf '%-22s %5s instructions %s' "$2" "$3" "$4"
    [ $# -lt 5 ] || printf ', lean kernel %s' "$5"
    [ $# -lt 7 ] || printf '; must %s %s, stretch %s %s' "$6" "$(judge "$3" "$6")" "$7" "$(judge "$3" "$7")"
    echo
}

pin=$(count pin pin)
unpin=$(count unpin unpin)
row pin pin "$pin" "a page"
row unpin unpin "$unpin" "a page"
row pin-unpin pin+unpin $((pin + unpin)) "a page" 240 120 70
row pin-one "pin of one" "$(count pin-one pin)" "a page" 471
row unpin-one "unpin of one" "$(count pin-one unpin)" "a page" 85
row fork fork "$(count fork fork)" "a page" 119
row zap zap "$(count zap zap)" "a page" 193
row move-alone "move alone" "$(count move-alone migrate)" "a page"
row move-beside "beside 10,000 children" "$(count move-beside migrate)" "a page"
row zero "zero page" "$(count zero fault_all)" "a page" 891 534 311
row touch "first touch" "$(count touch fault_all)" "a page" 1758 1054 615
row populate populate "$(count populate populate)" "a page" 1758 1054 615
row reuse reuse "$(count reuse fault_all)" "a page" 911 546 318
row copy copy "$(count copy fault_all)" "a page" 3002 1801 1050
row file-read "read of a file" "$(count file-read fault_some)" "a page, in runs of 16"
row file-write "write of a file" "$(count file-write fault_all)" "a page"
row file-copy "copy of a file" "$(count file-copy fault_all)" "a page"
row file-sync "msync of a file" "$(count file-sync sync)" "a dirty page"
row file-truncate "truncation" "$(count file-truncate truncate)" "a mapped page"
row file-clean "reclaim of a file" "$(count file-clean page_out)" "a clean page that is mapped"
row file-listed "the same from its list" "$(count file-listed reclaim)" "a clean page that is not mapped"
row migrate migration "$(count migrate migrate)" "a page" 4709 2825 1648
row collapse collapse "$(count collapse collapse)" "a folio of 512 pages"
row folio-split "split of a folio" "$(count folio-split split_folios)" "of 512 pages, with its entry's"
# Setting 1 GiB up takes longer than all the rest, and zap is what an exit consists of.
[ -n "$plain" ] || row exit "exit of 1 GiB" "$(count exit exit)" "a page"
row swap-out "swap-out of dirty" "$(count swap-out page_out)" "a page, without the device" 3830
row swap-in "swap-in by a load" "$(count swap-in fault_all)" "a page, without the device" 3540
row swap-clean "reclaim of clean" "$(count swap-clean page_out)" "a page in the swap cache" 2274
row pair "map+unmap of 128M" "$(count pair pair)" "beside 1,000 areas"
row exit-one "exit of one page" "$(count exit-one exit)" "a space"
row split "split and merge" "$(count split split)" "by protect, of 1,000 areas"
row areas "fork of 10,000 areas" "$(count areas fork_small)" "an area"
