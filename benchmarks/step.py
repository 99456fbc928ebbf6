"""Time of a training step, PSPNet-R101 to PSPNet-R18 on two images.

python benchmarks/step.py
python benchmarks/step.py --device cuda

The usual implementation has a teacher without a fast path, which also computes its own
losses, and full-resolution KD with autograd. The lower bound is the sum of the
baseline's step and the teacher's fastest forward pass.
"""

import torch
from measuring import BDD_LS, has_bf16, parser_of, peak, report, silence, times
from mmengine.optim import OptimWrapper
from pair import batch_of, distiller_of

from mmkd.distillation.taps import record

TAP = 'decode_head.conv_seg'


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--size', type=int, default=512, help='of the square images')
    args = parser.parse_args()
    silence()

    images, samples = batch_of(args.device, args.size)
    plain = dict(fuse_conv_bn=False, channels_last=False)
    eager, fused = (
        dict(loss_kd=dict(type='KDLoss', impl=impl, **BDD_LS))
        for impl in ('eager', 'fused')
    )
    usual = distiller_of(args.device, eager, **plain)
    ours = {'exact': distiller_of(args.device, fused)}
    if has_bf16(args.device):
        ours['bf16 teacher'] = distiller_of(args.device, fused, precision='bf16')
    if args.device != 'cpu':
        ours['overlapped teacher'] = distiller_of(args.device, fused, overlap=True)
    target = torch.cat([sample.gt_sem_seg.data for sample in samples])

    def optimize(distiller: torch.nn.Module, losses: dict) -> None:
        wrapper = wrappers[id(distiller)]
        total, _ = distiller.parse_losses(losses)
        wrapper.update_params(total)

    wrappers = {
        id(d): OptimWrapper(torch.optim.SGD(d.student.parameters(), 1e-4))
        for d in (usual, *ours.values())
    }

    def usual_step() -> None:
        with torch.no_grad(), record(usual.teacher.model, [TAP]) as theirs:
            usual.teacher.model(images, samples, mode='loss')
        with record(usual.student, [TAP]) as its_own:
            losses = usual.student(images, samples, mode='loss')
        loss = usual.distill_losses['loss_kd']
        losses['loss_kd'] = loss(its_own[TAP], theirs[TAP], target)
        optimize(usual, losses)

    def whole(distiller: torch.nn.Module) -> None:
        optimize(distiller, distiller(images, samples, mode='loss'))

    def baseline() -> None:
        optimize(usual, usual.student(images, samples, mode='loss'))

    def floor(distiller: torch.nn.Module) -> None:
        distiller.teacher.wait(distiller.teacher.outputs(images, [TAP]))
        baseline()

    variants = {'usual implementation': usual_step, 'baseline': baseline}
    for name, distiller in ours.items():
        variants[f'mmkd, {name}'] = lambda d=distiller: whole(d)
        variants[f'floor, {name}'] = lambda d=distiller: floor(d)
    found = times(variants, args.device, args.repeats)
    rows = [
        {
            'step': name,
            'ms': ms,
            'times as fast': found['usual implementation'] / ms,
            'peak, MiB': peak(variants[name], args.device) / 2**20,
        }
        for name, ms in found.items()
    ]
    for kind in ours:
        over = found[f'mmkd, {kind}'] / found[f'floor, {kind}']
        print(f'{kind}: {over:.3f} times its floor')
    title = f'Training step, R101 to R18, 2x3x{args.size}x{args.size}'
    report('step', title, rows, args)


if __name__ == '__main__':
    main()
