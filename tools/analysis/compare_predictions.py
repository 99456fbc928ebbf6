"""Show where a distilled student differs from its teacher, label and the lone student:
python tools/analysis/compare_predictions.py CONFIG CHECKPOINT --out DIR

Writes, of some of the config's test images: DIR/panel.png, all of them in rows;
DIR/images/, each in a picture of its own; DIR/predictions.csv, a line for each. Columns
of a panel: image, label, the networks' predictions, where student and teacher agree,
which student is right, and KL(teacher || student) at temperature 1."""

import argparse
import csv
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from os import path as osp
from pathlib import Path

from mmkd.cli.arguments import add_config_options
from mmkd.errors import UserError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of a distillation config')
    parser.add_argument('checkpoint', help="path or URL of the student's weights")
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument(
        '--alone',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='the student trained without a teacher, to compare with',
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        '--images',
        nargs='+',
        metavar='PATH',
        help='which of the test images: paths or names of their files',
    )
    choice.add_argument(
        '--worst',
        type=int,
        metavar='N',
        help='the N with the smallest share of pixels that the student gets right',
    )
    choice.add_argument(
        '--number',
        type=int,
        default=4,
        metavar='N',
        help='N at even distances through the test images (default: 4)',
    )
    add_config_options(parser)
    args = parser.parse_args()
    if args.number < 1 or (args.worst is not None and args.worst < 1):
        parser.error('--worst and --number must be at least 1')
    return args


def find(images: Sequence[str], paths: Sequence[str]) -> list[int]:
    """Indices of the paths that are given as such, or by the name of their file."""
    places: dict[str, set[int]] = {}
    for index, path in enumerate(paths):
        for known in (osp.realpath(path), osp.basename(path)):
            places.setdefault(known, set()).add(index)
    found = {
        image: places.get(image) or places.get(osp.realpath(image)) for image in images
    }
    missing = [image for image, indices in found.items() if not indices]
    if missing:
        raise UserError(
            f'--images: {", ".join(map(repr, missing))} not among the {len(paths)} of '
            f'test_dataloader.dataset, such as {paths[0]!r}'
        )
    return sorted(set().union(*found.values()))


def find_worst(student: object, dataset: Sequence, number: int) -> list[int]:
    """Indices of the images of which a network gets the smallest share right."""
    from rich.progress import track

    from mmkd.visualization import panel_rows

    def shares() -> Iterator[tuple[float, int]]:
        rows = panel_rows(dict(student=student), dataset, range(len(dataset)))
        looking = track(rows, 'Looking for the worst', len(dataset))
        for index, row in enumerate(looking):
            share = row.accuracy('student')
            yield (math.inf if math.isnan(share) else share), index

    return sorted(index for _, index in heapq.nsmallest(number, shares()))


def write_numbers(names: Sequence[str], rows: Sequence, path: Path) -> None:
    """Writes a line of numbers for each image."""
    networks = list(rows[0].predictions)
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        accuracies = [f'accuracy_{network}' for network in networks]
        writer.writerow(['image', *accuracies, 'agreement', 'kl'])
        for name, row in zip(names, rows, strict=True):
            numbers = [row.accuracy(network) for network in networks]
            numbers += row.agreement('distilled', 'teacher'), row.mean_kl('distilled')
            writer.writerow([name, *(f'{number:.6f}' for number in numbers)])


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--out: '{path}' cannot be made: {error.strerror}; name another place"
        ) from error


def load(args: argparse.Namespace, config: Mapping) -> dict:
    """The networks by name, in the order of their columns."""
    from mmengine.device import get_device

    from mmkd.deployment.network import load_student, load_teacher
    from mmkd.engine.config import read_config

    networks = dict(teacher=load_teacher(config, needed=True))
    if args.alone:
        path, checkpoint = args.alone
        networks['alone'], _ = load_student(read_config(path), checkpoint, True)
    networks['distilled'], _ = load_student(config, args.checkpoint, True)
    return {name: network.to(get_device()) for name, network in networks.items()}


def compare(args: argparse.Namespace) -> None:
    from mmkd.datasets.build_dataset import build_dataset
    from mmkd.engine.config import read_config
    from mmkd.visualization import (
        comparison,
        draw_panel,
        image_path,
        panel_rows,
        spread,
    )

    config = read_config(args.config, args.cfg_options)
    dataset = build_dataset(config)
    paths = [image_path(dataset, index) for index in range(len(dataset))]
    folder = osp.commonpath([osp.dirname(osp.abspath(path)) for path in paths])
    chosen = spread(len(dataset), args.number)
    if args.images:
        chosen = find(args.images, paths)
    networks = load(args, config)
    make_folder(args.out)
    if args.worst:
        chosen = find_worst(networks['distilled'], dataset, args.worst)

    rows = list(panel_rows(networks, dataset, chosen))
    alone = 'alone' if args.alone else None
    columns = comparison(dataset.metainfo, 'distilled', 'teacher', alone)
    write_numbers(
        [paths[index] for index in chosen], rows, args.out / 'predictions.csv'
    )
    draw_panel(rows, args.out / 'panel.png', columns)
    for index, row in zip(chosen, rows, strict=True):
        picture = args.out / 'images' / osp.relpath(paths[index], folder)
        make_folder(picture.parent)
        draw_panel([row], picture.with_suffix('.png'), columns)
    print(f'Panel:   {args.out / "panel.png"}')
    print(f'Images:  {args.out / "images"}')
    print(f'Numbers: {args.out / "predictions.csv"}')


def main() -> None:
    args = parse_args()

    # After the arguments, so that --help answers at once.
    from mmkd.cli.console import silence_import_warnings

    silence_import_warnings()
    from mmkd.cli.console import one_line_errors

    with one_line_errors():
        compare(args)


if __name__ == '__main__':
    main()
