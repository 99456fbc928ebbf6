"""Compare the predictions of a distilled student with label, teacher and baseline.

For some of the config's test images, writes DIR/panel.png with one row per image,
DIR/images/ with one picture per image, and DIR/predictions.csv with one line per image.
The columns of a panel are image, label, predictions, agreement of student and teacher,
errors of the student, and the Kullback-Leibler (KL) divergence KL(teacher || student)
at temperature 1.
"""

import argparse
import csv
import math
from collections.abc import Sequence
from os import path as osp
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_config_options

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.model import BaseModel
    from torch import nn

    from mmkd.datasets.checked_dataset import CheckedDataset
    from mmkd.visualization import PanelRow


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of a distillation config')
    parser.add_argument('checkpoint', help="path or URL of the student's weights")
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='folder to write to'
    )
    parser.add_argument(
        '--baseline',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='student trained without a teacher, to compare with',
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        '--images',
        nargs='+',
        metavar='PATH',
        help='test images to use: paths or file names',
    )
    choice.add_argument(
        '--worst',
        type=int,
        metavar='N',
        help='use the N images with the lowest pixel accuracy of the student',
    )
    choice.add_argument(
        '--number',
        type=int,
        default=4,
        metavar='N',
        help='use N evenly spaced test images (default: 4)',
    )
    add_config_options(parser)
    args = parser.parse_args(argv)
    if args.number < 1 or (args.worst is not None and args.worst < 1):
        parser.error('--worst and --number must be at least 1')
    return args


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    with one_line_errors():
        compare_predictions(args)


def compare_predictions(args: argparse.Namespace) -> None:
    """Choose the images, and write their panels and numbers."""
    from mmkd.datasets.build_dataset import build_dataset
    from mmkd.engine.config import read_config
    from mmkd.errors import output_errors
    from mmkd.visualization import evenly_spaced, image_path, panel_rows

    config = read_config(args.config, args.cfg_options)
    dataset = build_dataset(config)
    paths = [image_path(dataset, index) for index in range(len(dataset))]
    chosen = evenly_spaced(len(dataset), args.number)
    if args.images:
        chosen = find_images(args.images, paths)
    networks = load_networks(args, config, dataset.metainfo.get('classes'))
    with output_errors():  # fail before the work starts
        args.out.mkdir(parents=True, exist_ok=True)
    if args.worst:
        chosen = find_worst(networks['distilled'], dataset, args.worst)
    rows = list(panel_rows(networks, dataset, chosen))
    with output_errors():
        write_numbers([paths[i] for i in chosen], rows, args.out / 'predictions.csv')
        write_panels(chosen, rows, dataset.metainfo, paths, args.out)
    for name in ('panel.png', 'images', 'predictions.csv'):
        print(args.out / name)


def load_networks(
    args: argparse.Namespace, config: 'Config', classes: Sequence[str] | None
) -> dict[str, 'nn.Module']:
    """Load the networks in the order of their columns."""
    from mmengine.device import get_device

    from mmkd.deployment.network import load_network, load_teacher
    from mmkd.distillation.taps import num_classes
    from mmkd.engine.config import read_config

    networks: dict[str, nn.Module] = {'teacher': (teacher := load_teacher(config))}
    if args.baseline:
        path, checkpoint = args.baseline
        networks['baseline'], _ = load_network(read_config(path), checkpoint, True)
    student, _ = load_network(config, args.checkpoint, True)
    teacher.map_classes(classes, num_classes(student))
    networks['distilled'] = student
    return {name: network.to(get_device()) for name, network in networks.items()}


def find_images(images: Sequence[str], paths: Sequence[str]) -> list[int]:
    """Return the indices of images given by path or file name."""
    from mmkd.errors import UserError

    places: dict[str, set[int]] = {}
    for index, path in enumerate(paths):
        for known in (osp.realpath(path), osp.basename(path)):
            places.setdefault(known, set()).add(index)
    found = {
        image: places.get(image) or places.get(osp.realpath(image), set())
        for image in images
    }
    missing = [image for image, indices in found.items() if not indices]
    if missing:
        raise UserError(
            f'--images: {", ".join(map(repr, missing))} not among the {len(paths)} of '
            f'test_dataloader.dataset; give paths or file names such as {paths[0]!r}'
        )
    return sorted(set().union(*found.values()))


def find_worst(
    student: 'BaseModel', dataset: 'CheckedDataset', number: int
) -> list[int]:
    """Return the indices of the images with the lowest pixel accuracy."""
    from rich.progress import track

    from mmkd.visualization import panel_rows

    total = len(dataset)
    rows = panel_rows(dict(student=student), dataset, range(total))
    shares = [
        row.accuracy('student') for row in track(rows, 'Finding the worst', total)
    ]
    order = sorted(
        range(total), key=lambda i: math.inf if math.isnan(shares[i]) else shares[i]
    )
    return sorted(order[:number])


def write_numbers(names: Sequence[str], rows: Sequence['PanelRow'], path: Path) -> None:
    """Write accuracies, agreement and mean KL of each image."""
    networks = list(rows[0].predictions)
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        accuracies = [f'accuracy_{network}' for network in networks]
        writer.writerow(['image', *accuracies, 'agreement', 'kl'])
        for name, row in zip(names, rows, strict=True):
            numbers = [row.accuracy(network) for network in networks]
            numbers += row.agreement('distilled', 'teacher'), row.mean_kl('distilled')
            writer.writerow([name, *(f'{number:.6f}' for number in numbers)])


def write_panels(
    chosen: Sequence[int],
    rows: Sequence['PanelRow'],
    meta: dict,
    paths: Sequence[str],
    out: Path,
) -> None:
    """Draw a panel of all images, and one panel per image."""
    from mmkd.visualization import draw_panel, panel_columns

    baseline = 'baseline' if 'baseline' in rows[0].predictions else None
    columns = panel_columns(meta, 'distilled', 'teacher', baseline)
    draw_panel(rows, out / 'panel.png', columns)
    folder = osp.commonpath([osp.dirname(osp.abspath(path)) for path in paths])
    for index, row in zip(chosen, rows, strict=True):
        picture = out / 'images' / osp.relpath(paths[index], folder)
        picture.parent.mkdir(parents=True, exist_ok=True)
        draw_panel([row], picture.with_suffix('.png'), columns)
