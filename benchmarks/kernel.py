"""Registers, spills and shared memory of the Triton kernel, compiled without a GPU.

python benchmarks/kernel.py                      # all GPUs: about a minute
python benchmarks/kernel.py --capabilities 80 90

Registers are the larger number of two losses: KD without a mask, and BDD with logit
standardization, scale compensation, mask and weights. Occupancy and time are estimates,
for 2xCx512x1024 from logits at an eighth of this. Exits with 1 if a launch spills.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

os.environ['TRITON_INTERPRET'] = '0'  # read when Triton is imported

import torch
import triton
from measuring import parser_of, report
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mmkd.ops import DivergenceOptions, triton_kernel

KD = DivergenceOptions()
BDD = DivergenceOptions(
    standardize=True, scale_compensated=True, keywords=dict(reverse_weight=1.0)
)
BATCH, SIZE, STRIDE = 2, (512, 1024), 8
TYPES = {torch.float32: '*fp32', torch.int32: '*i32', torch.bool: '*i1'}
TOOLS = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin'
# Of BDD with logit standardization, counted in the disassembly for sm_90.
PER_PIXEL, PER_NUMBER, FLOAT_PER_NUMBER = 271, 227, 126  # a number: pixel and class


class GPU(NamedTuple):
    """Figures of its data sheet and of CUDA's table of compute capabilities."""

    name: str
    processors: int
    float_lanes: int  # of a multiprocessor
    gigahertz: float
    gigabytes_per_second: float
    warps: int  # at most, of a multiprocessor
    blocks: int


GPUS = {
    75: GPU('T4', 40, 64, 1.59, 320, 32, 16),
    80: GPU('A100', 108, 64, 1.41, 2039, 64, 32),
    86: GPU('RTX 3090', 82, 128, 1.70, 936, 48, 16),
    89: GPU('RTX 4090', 128, 128, 2.52, 1008, 48, 24),
    90: GPU('H100', 132, 128, 1.98, 3350, 64, 32),
    100: GPU('B200', 148, 128, 1.97, 8000, 64, 32),
}


class Resources(NamedTuple):
    """Report of ptxas."""

    registers: int
    spilled: int  # bytes
    shared: int


def resources(capability: int, classes: int, launch: triton_kernel.Launch) -> Resources:
    """Return the larger numbers of the two losses."""
    both = (
        compiled(capability, *specialization(classes, launch, *case))
        for case in ((KD, False), (BDD, True))
    )
    return Resources(*map(max, *both))


def specialization(
    classes: int,
    launch: triton_kernel.Launch,
    options: DivergenceOptions,
    masked: bool,
) -> tuple[tuple[tuple[str, str, Any], ...], int]:
    """Return name, type and value or alignment of each argument of a real call."""
    logits = torch.zeros(BATCH, classes, *(side // STRIDE for side in SIZE))
    mask = torch.ones(BATCH, *SIZE, dtype=torch.bool) if masked else None
    weight = torch.ones(BATCH, *SIZE) if masked else None
    with mock.patch.object(triton_kernel, '_cell', mock.MagicMock()) as cell:
        triton_kernel.mean_and_gradient(
            logits, logits, SIZE, options, mask=mask, weight=weight, launch=launch
        )
    found = dict(cell.__getitem__.return_value.call_args.kwargs)
    num_warps = found.pop('num_warps')
    arguments = []
    for name in triton_kernel._cell.arg_names:
        value = found[name]
        if name.isupper():
            arguments.append((name, 'constexpr', value))
        elif isinstance(value, torch.Tensor):
            arguments.append((name, TYPES[value.dtype], 16))
        elif isinstance(value, float):
            arguments.append((name, 'fp32', None))
        else:
            arguments.append((name, 'i32', None if value % 16 else 16))
    return tuple(arguments), num_warps


@cache
def compiled(
    capability: int, arguments: tuple[tuple[str, str, Any], ...], num_warps: int
) -> Resources:
    """Compile the kernel, and ask ptxas."""
    kernel = triton.compile(
        ASTSource(
            triton_kernel._cell,
            {name: kind for name, kind, _ in arguments},
            {(i,): x for i, (_, kind, x) in enumerate(arguments) if kind[0] == 'c'},
            {
                (i,): [['tt.divisibility', x]]
                for i, (_, kind, x) in enumerate(arguments)
                if kind[0] != 'c' and x
            },
        ),
        target=GPUTarget('cuda', capability, 32),
        options=dict(num_warps=num_warps),
    )
    code = kernel.asm['ptx']
    architecture = re.search(r'\.target (\w+)', code)[1]
    tool = TOOLS / 'ptxas-blackwell'
    if capability < 100 or not tool.exists():
        tool = TOOLS / 'ptxas'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'kernel.ptx')
        path.write_text(code)
        text = subprocess.run(
            [tool, '-v', f'--gpu-name={architecture}', path, '-o', f'{path}.cubin'],
            check=True,
            capture_output=True,
            text=True,
        ).stderr
    registers = int(re.search(r'Used (\d+) registers', text)[1])
    spilled = max(map(int, re.findall(r'(\d+) bytes spill', text)))
    return Resources(registers, spilled, kernel.metadata.shared)


def resident_warps(gpu: GPU, registers: int, num_warps: int) -> int:
    """Estimate the warps that a multiprocessor holds: 4 x 16384 registers."""
    per_warp = -(-32 * registers // 256) * 256  # are allocated by 256
    by_registers = 4 * (16384 // per_warp) // num_warps
    return num_warps * min(by_registers, gpu.blocks, gpu.warps // num_warps)


def milliseconds(gpu: GPU, classes: int) -> float:
    """Estimate the time if all lanes worked all the time, or all the bandwidth."""
    pixels = BATCH * SIZE[0] * SIZE[1]
    issued = pixels * (PER_PIXEL + PER_NUMBER * classes) / 128  # at a time
    floats = pixels * FLOAT_PER_NUMBER * classes / gpu.float_lanes
    arithmetic = max(issued, floats) / (gpu.processors * gpu.gigahertz * 1e9)
    # Two maps are read; a gradient for each of four corners is written.
    traffic = 6 * 4 * pixels * classes / STRIDE**2 / (gpu.gigabytes_per_second * 1e9)
    return 1000 * max(arithmetic, traffic)


def main() -> int:
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument('--capabilities', type=int, nargs='+', default=list(GPUS))
    parser.add_argument('--classes', type=int, nargs='+', default=[3, 19, 150, 512])
    args: argparse.Namespace = parser.parse_args()
    rows, spills = [], []
    for capability in args.capabilities:
        for classes in args.classes:
            gpu = GPUS[capability]
            name = f'sm_{capability} ({gpu.name}), {classes}'
            found = {
                launch: resources(capability, classes, launch)
                for launch in triton_kernel.LAUNCHES
            }
            spills += [(name, *each) for each in found.items() if each[1].spilled]
            row: dict[str, Any] = {'GPU, classes': name}
            for launch, (registers, spilled, _) in found.items():
                title = f'{launch.pixels} pixels, {launch.num_warps} warp(s)'
                row[f'registers: {title}'] = f'{registers}' + spilled * ' (spills)'
            default = triton_kernel.LAUNCHES[0]
            registers, spilled, shared = found[default]
            warps = resident_warps(gpu, registers, default.num_warps)
            row['spilled, bytes'] = max(each.spilled for each in found.values())
            row['shared memory, bytes'] = shared
            row['estimate: occupancy, %'] = 100 * warps / gpu.warps
            row['estimate: ms, at best'] = milliseconds(gpu, classes)
            rows.append(row)
    report('kernel', 'The kernel as compiled; nothing was run', rows, args)
    for name, launch, found in spills:
        print(f'spills {found.spilled} bytes: {name}, {launch}', file=sys.stderr)
    return bool(spills)


if __name__ == '__main__':
    sys.exit(main())
