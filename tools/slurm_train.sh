#!/usr/bin/env bash
# Train on a Slurm cluster:
#   GPUS=8 GPUS_PER_NODE=8 bash tools/slurm_train.sh PARTITION JOB CONFIG [ARGUMENTS]
# SRUN_ARGS="--signal=USR1@120" makes the job save a checkpoint two minutes before its
# time limit.
set -euo pipefail
PARTITION=${1:?usage: slurm_train.sh PARTITION JOB CONFIG [ARGUMENTS]}
JOB=${2:?usage: slurm_train.sh PARTITION JOB CONFIG [ARGUMENTS]}
CONFIG=${3:?usage: slurm_train.sh PARTITION JOB CONFIG [ARGUMENTS]}
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}

# shellcheck disable=SC2086  # SRUN_ARGS contains several arguments
exec srun -p "$PARTITION" --job-name="$JOB" --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$CONFIG" --launcher slurm "${@:4}"
