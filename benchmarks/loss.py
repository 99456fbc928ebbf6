"""Time and memory of the forward and backward pass of distillation losses.

python benchmarks/loss.py                               # 2x19x512x1024
python benchmarks/loss.py --classes 150 --size 512 512
python benchmarks/loss.py --device cuda

Common implementations, as in the code of papers, and the cross entropy of the task are
included for comparison. KL is the Kullback-Leibler divergence, LS logit
standardization.
"""

import torch
from measuring import BDD_LS, parser_of, peak, report, silence, times
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate, kl_div, log_softmax, softmax

from mmkd.losses import CWDLoss, KDLoss


def batchmean_kl(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Return PyTorch's KL of upsampled maps, without a mask."""
    student, teacher = upsample(student, target), upsample(teacher, target)
    return kl_div(log_softmax(student, 1), softmax(teacher, 1), reduction='batchmean')


def permuted_lskd(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Return LSKD's loss for vectors, with pixels as rows."""
    rows = []
    for logits in (student, teacher):
        logits = upsample(logits, target).permute(0, 2, 3, 1).flatten(0, 2)
        mean, std = logits.mean(1, keepdim=True), logits.std(1, keepdim=True)
        rows.append((logits - mean) / (1e-7 + std))
    return kl_div(log_softmax(rows[0], 1), softmax(rows[1], 1), reduction='batchmean')


def task(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Return the loss of the baseline."""
    return cross_entropy(upsample(student, target), target, ignore_index=255)


def upsample(logits: Tensor, target: Tensor) -> Tensor:
    """Resize to the label's size."""
    return interpolate(logits, target.shape[1:], mode='bilinear')


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--classes', type=int, default=19)
    parser.add_argument('--size', type=int, nargs=2, default=[512, 1024])
    parser.add_argument('--stride', type=int, default=8, help='of the logits')
    parser.add_argument('--no-compile', action='store_true', help='saves a minute')
    args = parser.parse_args()
    silence()

    torch.manual_seed(0)
    small = [side // args.stride for side in args.size]
    student, teacher = (
        3 * torch.randn(args.batch, args.classes, *small, device=args.device)
        for _ in range(2)
    )
    target = torch.randint(args.classes, (args.batch, *args.size), device=args.device)
    target[:, ::10] = 255
    losses = {
        'BDD + LS, eager': KDLoss(impl='eager', **BDD_LS),
        'BDD + LS, fused': KDLoss(impl='fused', **BDD_LS),
        'KD, eager': KDLoss(impl='eager', resolution='label'),
        'KD, fused': KDLoss(impl='fused', resolution='label'),
        'KL as batchmean': batchmean_kl,
        'LSKD on permuted maps': permuted_lskd,
        'CWD': CWDLoss(resolution='label'),
        'cross entropy': task,
    }
    if not args.no_compile:
        losses['BDD + LS, compiled'] = torch.compile(losses['BDD + LS, eager'])

    def step(loss: object) -> None:
        leaf = student.clone().requires_grad_()
        loss(leaf, teacher, target).backward()

    variants = {name: lambda loss=loss: step(loss) for name, loss in losses.items()}
    found = times(variants, args.device, args.repeats)
    full = args.batch * args.classes * args.size[0] * args.size[1] * 4
    rows = [
        {
            'loss': name,
            'ms': ms,
            'against eager': found['BDD + LS, eager'] / ms,
            'against cross entropy': ms / found['cross entropy'],
            'peak, full-size tensors': peak(variants[name], args.device) / full,
        }
        for name, ms in found.items()
    ]
    shape = 'x'.join(map(str, [args.batch, args.classes, *args.size]))
    name = f'loss_{args.classes}x{args.size[0]}x{args.size[1]}'
    report(name, f'Losses of {shape}, logits at 1/{args.stride}', rows, args)


if __name__ == '__main__':
    main()
