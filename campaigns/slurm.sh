#!/bin/sh
#SBATCH --job-name=pinfold
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
#SBATCH --time=24:00:00
# A job array of Slurm, a shard for each task:
#   sbatch --array=1-N campaigns/slurm.sh N DIR SCENARIO [OPTIONS OF pinfold check]...
# N stands there twice: what Slurm says of an array is that of the submission, which is less when
# only some tasks are submitted again (--array=3,7).
# and, once all are done, what they found:
#   sbatch --dependency=afterok:JOB --wrap 'pinfold merge DIR/*.json'
# DIR must be one that all nodes see. Submit from the repository's root.
set -eu
n=$1 dir=$2
shift 2
exec campaigns/shard.sh "$SLURM_ARRAY_TASK_ID" "$n" "$dir" "$@"
