#!/usr/bin/env bash
# Evaluate with one process per GPU (or, without GPUs, on the CPU):
#   bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of test.py]
# For several machines, run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
CONFIG=${1:?usage: dist_test.sh CONFIG CHECKPOINT PROCESSES [ARGUMENTS]}
CHECKPOINT=${2:?usage: dist_test.sh CONFIG CHECKPOINT PROCESSES [ARGUMENTS]}
PROCESSES=${3:?usage: dist_test.sh CONFIG CHECKPOINT PROCESSES [ARGUMENTS]}

OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec python -m mmkd.engine.torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
