#!/bin/sh
# A search on all cores of this machine, or of several, by GNU parallel:
#   parallel.sh N DIR SCENARIO [OPTIONS OF pinfold check]...
# Add machines by PARALLEL='--sshloginfile hosts --env PINFOLD'; DIR must be shared by all of them.
# What is left after an interrupt is done by the same command: --resume-failed skips what is done.
set -eu
n=$1 dir=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
seq "$n" | parallel --will-cite --joblog "$dir/jobs.log" --resume-failed \
    "$here/shard.sh" {} "$n" "$dir" "$@"
exec "${PINFOLD:-pinfold}" merge "$dir"/*.json
