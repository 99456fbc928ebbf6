"""Measurements of time and memory, and their table, JSON file and plot."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

from mmkd.cli.console import import_packages

Variants = dict[str, Callable[[], object]]
# Options of KDLoss.
BDD_LS = dict(
    resolution='label', tau=0.5, standardize=True, divergence=dict(type='BalancedKL')
)


def parser_of(doc: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--repeats', type=int, default=5, help='the median is shown')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder to write'
    )
    return parser


def silence() -> None:
    """Silence warnings and logs, also those of PyTorch's profiler."""
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    import_packages()
    MMLogger.get_instance('benchmark', log_level='ERROR')


def has_bf16(device: str) -> bool:
    """Return True if a device has bf16 instructions, without which bf16 is slow."""
    if device != 'cpu':
        return torch.cuda.is_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def times(variants: Variants, device: str, repeats: int) -> dict[str, float]:
    """Return the median time of each variant in milliseconds, after a warm-up.

    The variants are run alternately, so that other load of the machine affects all of
    them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, run in variants.items():
            wait(device)
            start = time.perf_counter()
            run()
            wait(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * median(found) for name, found in seconds.items()}


def peak(run: Callable[[], object], device: str) -> int:
    """Return the peak memory of a run in bytes, beyond memory allocated before."""
    if device != 'cpu':
        wait(device)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        wait(device)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    held = most = 0
    events = profile.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == '[memory]']
    for _, change in sorted(changes, key=lambda event: event[0]):
        held += change
        most = max(most, held)
    return most


def wait(device: str) -> None:
    """Wait until the device is idle."""
    if device != 'cpu':
        torch.cuda.synchronize()


def report(name: str, title: str, rows: list[dict], args: argparse.Namespace) -> None:
    """Print rows as a table; write them with machine details as JSON, and as a plot.

    The first column is the name of a row; the plot shows the second column as bars.
    """
    table = Table(title=title)
    for index, column in enumerate(rows[0]):
        table.add_column(column, justify='right' if index else 'left')
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console().print(table)
    args.out.mkdir(parents=True, exist_ok=True)
    machine = machine_of(args.device)
    path = args.out / f'{name}_{args.device}'
    content = dict(title=title, machine=machine, rows=rows)
    path.with_suffix('.json').write_text(json.dumps(content, indent=1))
    _plot(title, rows, path.with_suffix('.png'))
    print(f'{path}.json, {path}.png')


def machine_of(device: str) -> dict[str, str | int]:
    """Return the name of the device, and what else its times depend on."""
    return dict(
        device=torch.cuda.get_device_name() if device != 'cpu' else _cpu(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version(),
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return f'{value:.0f}' if value >= 100 else f'{value:.3g}'
    return '' if value is None else str(value)


def _cpu() -> str:
    """Return the processor's name, if the system knows it."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(': ')[2] for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()


def _plot(title: str, rows: list[dict], path: Path) -> None:
    from matplotlib.figure import Figure

    label, value = list(rows[0])[:2]
    figure = Figure(figsize=(7, 0.8 + 0.35 * len(rows)), layout='constrained')
    axes = figure.add_subplot()
    bars = axes.barh(
        [str(row[label]) for row in rows], [row[value] for row in rows], color='#0072B2'
    )
    axes.bar_label(bars, [_text(row[value]) for row in rows], padding=3)
    axes.invert_yaxis()
    axes.set_xlabel(value)
    axes.set_title(title, fontsize='medium')
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, dpi=120)
