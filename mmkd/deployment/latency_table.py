"""Table of sizes and latencies of networks."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import torch
from rich.table import Table
from torch import nn

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MIB = 2**20


def median_latencies(
    runs: Mapping[str, Callable[[], object]], repeats: int = 5
) -> dict[str, float]:
    """Return the median latency of each function in milliseconds, after a warm-up.

    The functions are run alternately, so that other load of the machine affects all of
    them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * median(found) for name, found in seconds.items()}


def network_size(network: nn.Module) -> tuple[float, float]:
    """Return parameters in millions, and size of parameters and buffers in MiB."""
    tensors = [*network.parameters(), *network.buffers()]
    parameters = sum(each.numel() for each in network.parameters())
    return parameters / 1e6, sum(each.nbytes for each in tensors) / MIB


@torch.no_grad()
def latency_table(
    networks: Mapping[str, nn.Module],
    session: 'InferenceSession',
    file_size: int,
    size: tuple[int, int],
    repeats: int = 5,
) -> Table:
    """Measure networks on one image on the CPU.

    Args:
        networks: :class:`Deployable` networks by name; the first is the exported one.
        session: onnxruntime session of the exported network.
        file_size: Size of the exported file in bytes.
        size: Height and width of the image.
        repeats: Number of runs, whose median is reported. Default 5.
    """
    image = torch.zeros(1, *size, 3, dtype=torch.uint8)
    pixels = {'images': image.numpy()}
    runs: dict[str, Callable[[], object]] = {
        name: partial(network, image) for name, network in networks.items()
    }
    runs['onnxruntime'] = partial(session.run, None, pixels)
    found = median_latencies(runs, repeats)

    threads = torch.get_num_threads()
    table = Table(
        'network',
        title=f'1 image of {size[0]}x{size[1]}, CPU, {threads} '
        f'thread{"s"[: threads > 1]}, median of {repeats}',
    )
    for column in ('M params', 'MiB', 'ONNX MiB', 'PyTorch ms', 'onnxruntime ms'):
        table.add_column(column, justify='right')
    exported = f'{file_size / MIB:.1f}', f'{found["onnxruntime"]:.1f}'
    for name, network in networks.items():
        parameters, weights = network_size(network)
        file, latency = exported
        latencies = f'{found[name]:.1f}', latency
        table.add_row(name, f'{parameters:.2f}', f'{weights:.1f}', file, *latencies)
        exported = '', ''  # only the first network is exported
    return table
