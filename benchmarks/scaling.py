"""Scaling of the fused loss with pixels, classes and processes.

python benchmarks/scaling.py
python benchmarks/scaling.py --device cuda
"""

import time

import torch
import torch.multiprocessing as multiprocessing
from measuring import BDD_LS, parser_of, peak, report, silence, times

from mmkd.losses import KDLoss

SIZES = [(256, 256), (512, 512), (512, 1024), (1024, 1024), (1024, 2048)]
CLASSES = [3, 19, 64, 150, 512]
PROCESSES = [1, 2]


def step_of(device: str, classes: int, size: tuple[int, int]) -> object:
    """Return BDD + LS, forward and backward, of logits at 1/8."""
    logits = [
        torch.randn(1, classes, size[0] // 8, size[1] // 8, device=device)
        for _ in range(2)
    ]
    target = torch.randint(classes, (1, *size), device=device)
    loss = KDLoss(impl='fused', **BDD_LS)

    def step() -> None:
        loss(logits[0].clone().requires_grad_(), logits[1], target).backward()

    return step


def work(ready: object, results: object, repeats: int) -> None:
    """Time steps in one of several processes, with one thread and its own image."""
    torch.set_num_threads(1)
    step = step_of('cpu', 19, (512, 1024))
    step()
    ready.wait()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    results.put((time.perf_counter() - start) / repeats)


def together(number: int, repeats: int) -> float:
    """Return the milliseconds of a step in a number of concurrent processes."""
    context = multiprocessing.get_context('spawn')
    ready, results = context.Barrier(number), context.Queue()
    processes = [
        context.Process(target=work, args=(ready, results, repeats))
        for _ in range(number)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return 1000 * max(found)


def main() -> None:
    """Run the benchmark."""
    args = parser_of(__doc__).parse_args()
    silence()
    cases = {f'{h} x {w}, 19 classes': (19, (h, w)) for h, w in SIZES}
    cases |= {f'256 x 256, {c} classes': (c, (256, 256)) for c in CLASSES if c != 19}
    variants = {name: step_of(args.device, *case) for name, case in cases.items()}
    found = times(variants, args.device, args.repeats)
    rows = []
    for name, (classes, (height, width)) in cases.items():
        numbers = classes * height * width
        rows.append(
            {
                'map': name,
                'ns per element': 1e6 * found[name] / numbers,
                'ms': found[name],
                'peak, full-size tensors': peak(variants[name], args.device)
                / (4 * numbers),
            }
        )
    if args.device == 'cpu':
        for number in PROCESSES:
            ms = together(number, args.repeats)
            rows.append(
                {
                    'map': f'512 x 1024, processes of 1 thread: {number}',
                    'ns per element': 1e6 * ms / (19 * 512 * 1024 * number),
                    'ms': ms,
                    'peak, full-size tensors': None,
                }
            )
    report('scaling', 'The fused loss, from logits at 1/8', rows, args)


if __name__ == '__main__':
    main()
