#!/usr/bin/env bash
# Train with one process per GPU (or, without GPUs, on the CPU):
#   bash tools/dist_train.sh CONFIG PROCESSES [arguments of train.py]
# For several machines, run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
CONFIG=${1:?usage: dist_train.sh CONFIG PROCESSES [ARGUMENTS]}
PROCESSES=${2:?usage: dist_train.sh CONFIG PROCESSES [ARGUMENTS]}

OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec python -m mmkd.engine.torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
