"""CPU time of a training step by allocator, precision and memory layout.

python benchmarks/cpu_step.py
python benchmarks/cpu_step.py --config pspnet_r18-d8_4xb2-80k_cityscapes-512x1024 \
    --images 2 --size 512

The time is that of all threads, user and system, and so depends less on other load than
the time that passes. The configs of a training are built with random weights.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from measuring import Variants, parser_of, report, silence
from mmengine.optim import OptimWrapper
from pair import CONFIGS, batch_of, network_of

from mmkd.engine.cpu_amp import CpuAmpOptimWrapper
from mmkd.engine.freed_pages import keep_freed_pages
from mmkd.engine.speed import Speed, apply_layout

SPEEDS = {
    'float32': Speed(),
    'float32, NHWC': Speed(channels_last=True),
    'bf16': Speed('bfloat16'),
    'bf16, NHWC': Speed('bfloat16', channels_last=True),
}


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    small = 'pspnet_r18quarter-d8_1xb8-400_camvid-240x240'
    parser.add_argument('--config', default=small, help='name in configs/pspnet')
    parser.add_argument('--images', type=int, default=8, help='images in a batch')
    parser.add_argument('--size', type=int, default=144, help='of the square images')
    args = parser.parse_args()
    silence()

    variants = {}
    for name, speed in SPEEDS.items():
        network = network_of(CONFIGS / f'{args.config}.py').train()
        apply_layout(network, speed)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
        wrapper = CpuAmpOptimWrapper(optimizer, enabled=speed.amp is not None)
        classes = network.decode_head.num_classes
        batch = batch_of('cpu', args.size, args.images, classes)
        variants[name] = partial(step, network, wrapper, *batch)
    before = cpu_times(variants, args.repeats)
    if not keep_freed_pages():
        raise SystemExit('error: the allocator is not glibc, or MALLOC_... is set')
    after = cpu_times(variants, args.repeats)
    rows = [
        {
            'step': name,
            'memory kept, ms': after[name],
            'default, ms': before[name],
            'times as fast as float32, default': before['float32'] / after[name],
        }
        for name in variants
    ]
    title = f'Step, CPU time, {args.images}x3x{args.size}x{args.size}, {args.config}'
    report('cpu_step', title, rows, args)


def step(
    network: torch.nn.Module, wrapper: OptimWrapper, images: torch.Tensor, samples: list
) -> None:
    """Train one step."""
    with wrapper.optim_context(network):
        losses = network(images, samples, mode='loss')
    total, _ = network.parse_losses(losses)
    wrapper.update_params(total)


def cpu_times(variants: Variants, repeats: int) -> dict[str, float]:
    """Return the median CPU time of each in ms, in turns, after a warm-up."""

    def seconds(run: Callable[[], object]) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    turns = [
        {n: seconds(run) for n, run in variants.items()} for _ in range(repeats + 1)
    ]
    return {name: 1000 * median(turn[name] for turn in turns[1:]) for name in variants}


if __name__ == '__main__':
    main()
