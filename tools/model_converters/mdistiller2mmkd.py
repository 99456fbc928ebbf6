"""Convert a CIFAR-100 checkpoint of mdistiller, such as its published teachers.

python tools/model_converters/mdistiller2mmkd.py SRC DST --network resnet32x4
"""

import argparse
import re
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / 'configs' / 'cifar100'
RECIPE = '_1xb64-240e_cifar100.py'

# mdistiller numbers the convolutions of a downsampling ShuffleNetV2 unit consecutively
# through both branches; its other units have only the second branch.
BRANCHES = ('branch1.0', 'branch1.1', 'branch2.0', 'branch2.1', 'branch2.2')
CLASSIFIER = (r'^(fc|linear|classifier(\.0)?)\.(?=weight|bias)', 'head.fc.')
# Renamed parts of a backbone, by family.
RENAMED = {
    'resnet': [(r'\.shortcut\.', '.downsample.')],
    'wrn': [(r'^block(\d)\.layer\.', r'layer\1.'), ('convShortcut', 'downsample')],
    'vgg': [(r'^block(\d)\.', r'blocks.\1.')],
    'mobilenet': [],
    'shufflenet': [
        (rf'^{prefix}{kind}{number}\.', rf'{replaced}.{place}.')
        for place, kind in enumerate(('conv', 'bn'))
        for prefix, names in (
            (r'(layer\d\.0\.)', [rf'\g<1>{name}' for name in BRANCHES]),
            (r'(layer\d\.[1-9]\.)', [rf'\g<1>{name}' for name in BRANCHES[2:]]),
            ('', ['conv1', 'conv2']),
        )
        for number, replaced in enumerate(names, 1)
    ],
}


def rename(key: str, network: str) -> str:
    """Return the name in mmkd of a weight of mdistiller."""
    new = re.sub(*CLASSIFIER, key)
    if new != key:
        return new
    (rules,) = (RENAMED[family] for family in RENAMED if network.startswith(family))
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return f'backbone.{key}'


def convert(src: str, dst: Path, network: str) -> None:
    """Save weights of mdistiller as a checkpoint of a network in configs/cifar100."""
    import torch
    from mmengine.config import Config
    from mmpretrain.datasets import CIFAR100

    from mmkd.checkpoint import load_weights
    from mmkd.checkpoint_fit import check_fit
    from mmkd.registry import MODELS

    state, _ = load_weights(src, 'checkpoint', 'model')
    state = {rename(key, network): value for key, value in state.items()}
    config = Config.fromfile(CONFIGS / f'{network}{RECIPE}').model
    model = MODELS.build({**config, '_scope_': 'mmpretrain'})
    check_fit(model, state, f"--network {network}: '{src}'")
    # Old files lack num_batches_tracked; the network's own values are kept.
    model.load_state_dict(state, strict=False)
    # mdistiller uses torchvision's dataset, which has the same class order.
    meta = dict(dataset_meta=CIFAR100.METAINFO)
    dst.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), dst)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='path or URL of the checkpoint, NAME_vanilla/*.pth')
    parser.add_argument('dst', type=Path, help='file to write')
    parser.add_argument(
        '--network',
        required=True,
        choices=sorted(path.name.removesuffix(RECIPE) for path in CONFIGS.glob('*.py')),
        metavar='NAME',
        help='name of the network in configs/cifar100: %(choices)s',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Imported after parsing the arguments, so that --help is fast.
    from mmkd.cli.console import import_packages

    import_packages()
    from mmkd.cli.console import one_line_errors

    with one_line_errors():
        convert(args.src, args.dst, args.network)
    print(f'{args.dst} contains a {args.network}')


if __name__ == '__main__':
    main()
