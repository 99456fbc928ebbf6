"""Time of the teacher's forward pass, PSPNet-R101 on two images, by fast path.

python benchmarks/teacher.py
python benchmarks/teacher.py --device cuda --compile
"""

import copy

import torch
from measuring import has_bf16, parser_of, peak, report, silence, times
from pair import TEACHER, batch_of, network_of

from mmkd.distillation.fast_path import FastPath

PATHS = {
    'plain': FastPath(False, False),
    'BN folded': FastPath(True, False),
    'NHWC': FastPath(False, True),
    'both, the default': FastPath(),
}


def main() -> None:
    """Run the benchmark."""
    parser = parser_of(__doc__)
    parser.add_argument('--size', type=int, default=512, help='of the square images')
    parser.add_argument('--compile', action='store_true', help='also torch.compile')
    args = parser.parse_args()
    silence()

    paths = dict(PATHS)
    if has_bf16(args.device):
        paths['both, bf16'] = FastPath(precision='bf16')
    if args.device != 'cpu':
        paths['both, fp16'] = FastPath(precision='fp16')
        paths['both, CUDA graph'] = FastPath(compile='cudagraphs')
    if args.compile:
        paths['both, compiled'] = FastPath(compile=True)
    torch.manual_seed(0)
    network = network_of(TEACHER)
    network = network.to(args.device).eval().requires_grad_(False)
    images, _ = batch_of(args.device, args.size)
    plain = network(images)
    networks = {
        name: path.apply(copy.deepcopy(network), images)[0]
        for name, path in paths.items()
    }

    @torch.no_grad()
    def run(network: torch.nn.Module) -> torch.Tensor:
        return network(images)

    variants = {name: lambda net=net: run(net) for name, net in networks.items()}
    found = times(variants, args.device, args.repeats)
    rows = [
        {
            'teacher': name,
            'ms': ms,
            'times as fast': found['plain'] / ms,
            'same class, %': 100
            * float((run(networks[name]).argmax(1) == plain.argmax(1)).float().mean()),
            'peak, MiB': peak(variants[name], args.device) / 2**20,
        }
        for name, ms in found.items()
    ]
    title = f'PSPNet-R101 forward, 2x3x{args.size}x{args.size}, random weights'
    report('teacher', title, rows, args)


if __name__ == '__main__':
    main()
