"""Size and speed of networks, as a table."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch
from rich.table import Table
from torch import nn

MIB = 2**20


def latencies(runs: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict:
    """The median of each run's milliseconds, after one to warm up.

    In turns, so that what else the machine does hits all alike.
    """
    seconds = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * median(found) for name, found in seconds.items()}


def weigh(network: nn.Module) -> tuple[float, float]:
    """Parameters in millions; MiB of all that a network holds."""
    numbers = [*network.parameters(), *network.buffers()]
    parameters = sum(each.numel() for each in network.parameters())
    return parameters / 1e6, sum(each.nbytes for each in numbers) / MIB


@torch.no_grad()
def side_by_side(
    networks: Mapping[str, nn.Module],
    session: object,
    file_size: int,
    size: tuple[int, int],
    repeats: int = 5,
) -> Table:
    """Compares networks on one image of a size, on the CPU.

    Args:
        networks: :class:`Deployable`, by name; the first is what was exported.
        session: Of onnxruntime, with the exported one.
        file_size: Its bytes as a file.
        size: Height and width of the image.
        repeats: How often each is run; the table has the median.
    """
    image = torch.zeros(1, *size, 3, dtype=torch.uint8)
    pixels = {'images': image.numpy()}
    exported, *_ = networks
    runs = {name: lambda net=net: net(image) for name, net in networks.items()}
    runs['onnxruntime'] = lambda: session.run(None, pixels)
    found = latencies(runs, repeats)

    threads = torch.get_num_threads()
    table = Table(
        title=f'1 image of {size[0]}x{size[1]}, CPU, {threads} '
        f'thread{"s"[: threads > 1]}, median of {repeats}'
    )
    table.add_column('network')
    for column in ('M params', 'MiB', 'ONNX MiB', 'PyTorch ms', 'onnxruntime ms'):
        table.add_column(column, justify='right')
    for name, network in networks.items():
        here = name == exported
        parameters, weights = weigh(network)
        table.add_row(
            name,
            f'{parameters:.2f}',
            f'{weights:.1f}',
            f'{file_size / MIB:.1f}' if here else '',
            f'{found[name]:.1f}',
            f'{found["onnxruntime"]:.1f}' if here else '',
        )
    return table
