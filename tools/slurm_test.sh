#!/usr/bin/env bash
# Evaluate on a Slurm cluster:
#   GPUS=8 GPUS_PER_NODE=8 \
#       bash tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [ARGUMENTS]
set -euo pipefail
PARTITION=${1:?usage: slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [ARGUMENTS]}
JOB=${2:?usage: slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [ARGUMENTS]}
CONFIG=${3:?usage: slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [ARGUMENTS]}
CHECKPOINT=${4:?usage: slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [ARGUMENTS]}
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}

# shellcheck disable=SC2086  # SRUN_ARGS contains several arguments
exec srun -p "$PARTITION" --job-name="$JOB" --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher slurm \
    "${@:5}"
