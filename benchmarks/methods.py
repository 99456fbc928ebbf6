"""Time and memory of each method's losses, PSPNet-R101 to PSPNet-R18 on two images.

python benchmarks/methods.py
python benchmarks/methods.py --device cuda

The losses are those of configs/methods, each at the resolution that its config sets.
The time of a loss is that of its forward and backward pass, including its adapter; an
iteration is the student's step, the teacher's forward pass and the losses.
"""

from pathlib import Path

import torch
from measuring import parser_of, peak, report, silence, times
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from pair import CONFIGS, batch_of, distiller_of

from mmkd.distillation.tapped_loss import TappedLoss
from mmkd.distillation.taps import record
from mmkd.losses import Progress

METHODS = CONFIGS.parent / 'methods'
# After any warm-up of a loss.
PROGRESS = Progress(iteration=40000, max_iterations=80000)


def losses_of(path: Path) -> dict[str, dict]:
    """Return the losses of a method, with the method's name in theirs."""
    losses = Config.fromfile(path).distill_losses
    return {f'{path.stem}_{name}': dict(config) for name, config in losses.items()}


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--size', type=int, default=512, help='of the square images')
    args = parser.parse_args()
    silence()

    methods = {path.stem: losses_of(path) for path in sorted(METHODS.glob('*.py'))}
    merged = {
        name: loss for losses in methods.values() for name, loss in losses.items()
    }
    distiller = distiller_of(args.device, merged)
    images, samples = batch_of(args.device, args.size)
    target = torch.cat([sample.gt_sem_seg.data for sample in samples])
    teacher_taps = [loss.teacher_tap for loss in distiller.losses]
    theirs = distiller.teacher.outputs(images, teacher_taps)
    student_taps = [loss.student_tap for loss in distiller.losses]
    with record(distiller.student, student_taps) as outputs:
        distiller.student(images, samples, mode='loss')
    ours = {tap: x.detach().requires_grad_() for tap, x in outputs.items()}
    wrapper = OptimWrapper(torch.optim.SGD(distiller.student.parameters(), 1e-4))

    def baseline() -> None:
        total, _ = distiller.parse_losses(
            distiller.student(images, samples, mode='loss')
        )
        wrapper.update_params(total)

    def method(losses: list[TappedLoss]) -> None:
        for loss in losses:
            values = loss(ours, theirs, target, PROGRESS)
            values[f'distill.{loss.name}'].backward()

    variants = {
        'student': baseline,
        'teacher': lambda: distiller.teacher.outputs(images, teacher_taps),
    }
    for name, config in methods.items():
        chosen = [loss for loss in distiller.losses if loss.name in config]
        variants[name] = lambda chosen=chosen: method(chosen)
    found = times(variants, args.device, args.repeats)
    networks = found['student'] + found['teacher']
    rows = [
        {
            'method': name,
            'ms': ms,
            "% of the student's step": 100 * ms / found['student'],
            'iteration, ms': ms + networks if name in methods else None,
            'peak, MiB': peak(variants[name], args.device) / 2**20,
        }
        for name, ms in found.items()
    ]
    title = f'Losses of each method, R101 to R18, 2x3x{args.size}x{args.size}'
    report('methods', title, rows, args)


if __name__ == '__main__':
    main()
