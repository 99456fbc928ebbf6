"""Time and memory of each method's losses, PSPNet-R101 to PSPNet-R18 on two images.

python benchmarks/methods.py
python benchmarks/methods.py --device cuda
python benchmarks/methods.py --resolution label

The losses are those of the pair's 80k configs, each at the resolution that its config
sets. The time of a loss is that of its forward and backward pass, including its
adapter; an iteration is the student's step, the teacher's forward pass and the losses.
With ``--resolution label``, methods on logits only are compared at the labels' size.
"""

from pathlib import Path

import torch
from measuring import parser_of, peak, report, silence, times
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from pair import CONFIGS, batch_of, distiller_of

from mmkd.distillation.tapped_loss import TappedLoss, teacher_taps
from mmkd.distillation.taps import record
from mmkd.losses import Progress

METHODS = '*/*_pspnet_r101-d8_pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
# After any warm-up of a loss.
PROGRESS = Progress(iteration=40000, max_iterations=80000)


def name_of(path: Path) -> str:
    """Return the name of a config's method."""
    return path.name.split('_pspnet')[0]


def losses_of(path: Path, resolution: str | None) -> dict[str, dict]:
    """Return the losses of a method, with the method's name in theirs.

    Args:
        path: Its config.
        resolution: If given, replaces that of each loss; methods that do not only
            compare logits have no losses then.
    """
    losses = Config.fromfile(path).distill_losses
    if resolution is not None:
        if not all(TappedLoss(name, losses[name]).logits for name in losses):
            return {}
        losses = {
            name: dict(loss, resolution=resolution) for name, loss in losses.items()
        }
    return {f'{name_of(path)}_{name}': dict(losses[name]) for name in losses}


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--size', type=int, default=512, help='of the square images')
    parser.add_argument('--resolution', choices=['tap', 'label'], help='of all losses')
    args = parser.parse_args()
    silence()

    paths = sorted(CONFIGS.parent.glob(METHODS))
    found = {name_of(path): losses_of(path, args.resolution) for path in paths}
    methods = {name: losses for name, losses in found.items() if losses}
    merged = {
        name: loss for losses in methods.values() for name, loss in losses.items()
    }
    distiller = distiller_of(args.device, merged)
    images, samples = batch_of(args.device, args.size)
    target = torch.cat([sample.gt_sem_seg.data for sample in samples])
    taps = teacher_taps(distiller.losses)
    theirs = distiller.teacher.outputs(images, taps)
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
            values = loss(ours, theirs, target, None, PROGRESS, torch.zeros(()))
            values[f'distill.{loss.name}'].backward()

    variants = {
        'student': baseline,
        'teacher': lambda: distiller.teacher.outputs(images, taps),
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
