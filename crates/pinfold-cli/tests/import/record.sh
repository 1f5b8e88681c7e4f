#!/usr/bin/env bash
# Builds the programs and records each of them with strace. What is recorded here is what the
# repository holds, but for addresses, numbers of processes and the kernel's name:
#
#     bash crates/pinfold-cli/tests/import/record.sh [DIRECTORY]
#
# Needs a C compiler, strace, and a directory whose file system has O_DIRECT for the scratch files.
set -euo pipefail
cd "$(dirname "$0")"
to=$(realpath "${1:-recordings}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$to"

for source in programs/*.c; do
    cc -O1 -Wall -static -pthread -o "$work/$(basename "$source" .c)" "$source"
done
cd "$work"

# Records a program as a file of that name, with further options of strace.
record() {
    local name=$1 program=$2
    shift 2
    setarch -R strace -f -ttt -s 16 -e 'abbrev=!uname' "$@" -o "$to/$name.strace" "./$program"
    # Neither the machine nor the place has a part in it.
    sed -i -e 's/nodename="[^"]*"/nodename="host"/' -e "s|\"$(dirname "$work")[^\"]*\"|\"/\"|" \
        -e 's/ [0-9]* vars / 0 vars /' "$to/$name.strace"
    rm -f data
}

for program in *; do
    # What is given to these calls is shown as text, which has no address, unless it is asked for.
    [ "$program" = true ] ||
        record "$program" "$program" -e raw=read,write,pread64,pwrite64,sendto,recvfrom
done
record direct-beside-fork-text direct-beside-fork
record clear-refs-text clear-refs
