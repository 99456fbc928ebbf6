"""Export a segmentor, the student of a distillation, to ONNX.

Input: images, uint8 (batch, height, width, 3), RGB; the graph includes normalization.
Output: labels, uint8 (batch, height, width); with --logits also float32 logits (batch,
classes, height, width). The file is written only if onnxruntime and mmseg give the same
labels.
"""

import argparse
from pathlib import Path

from .arguments import add_config_options

REQUIRED = 0.999  # share of labels equal to mmseg's


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--out', type=Path, required=True, help='file to write')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='height and width of the images (default: those of the test pipeline)',
    )
    parser.add_argument(
        '--dynamic', action='store_true', help='accept images of any size'
    )
    parser.add_argument('--logits', action='store_true', help='also output the logits')
    parser.add_argument(
        '--images',
        type=Path,
        nargs='+',
        metavar='PATH',
        help='images or folders of images for the comparison with mmseg (default: the '
        "config's test images)",
    )
    parser.add_argument(
        '--max-images', type=int, default=20, help='number of images (default: 20)'
    )
    parser.add_argument(
        '--opset', type=int, help='version of the ONNX operators (default of PyTorch)'
    )
    add_config_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    with one_line_errors():
        export(args)


def export(args: argparse.Namespace) -> None:
    """Export a network, compare it with mmseg, write it and print its latency."""
    from rich.console import Console

    from mmkd.deployment import network, onnx_export, onnx_parity
    from mmkd.deployment.latency_table import latency_table
    from mmkd.distillation.teacher_config import split_teachers
    from mmkd.engine.config import read_config
    from mmkd.errors import UserError, output_errors

    onnx_export.check_extra()
    config = read_config(args.config, args.cfg_options)
    size = tuple(args.size or onnx_parity.image_size(config))
    images = onnx_parity.find_images(
        args.images or [onnx_parity.images_folder(config)], args.max_images
    )
    student, meta = network.load_network(config, args.checkpoint, allow_extra=True)
    network.check_exportable(student)
    networks = {'student': network.Deployable(student)}
    teachers = split_teachers(config.get('teacher') or {}).values()
    if all(Path(each.get('checkpoint') or '').is_file() for each in teachers):
        for teacher in network.load_teacher(config).members.values():
            networks[teacher.key] = network.Deployable(teacher.model)

    graph = onnx_export.export_onnx(networks['student'], size, args.dynamic, args.opset)
    onnx_export.note_classes(graph, meta)
    session = onnx_export.open_session(graph)
    smaller = tuple(side * 3 // 4 + 1 for side in size)
    for each in (size, smaller) if args.dynamic else (size,):
        equal, gap = onnx_parity.measure_parity(session, student, images, each)
        print(
            f'{len(images)} images of {each[0]}x{each[1]}: {100 * equal:.4f} % of the '
            f"labels are mmseg's; largest difference in a logit {gap:.2g}"
        )
        if equal < REQUIRED:
            raise UserError(
                f'--out: not written, because less than {REQUIRED:.1%} of the labels '
                "are mmseg's; try another --opset, or --size without --dynamic"
            )

    if not args.logits:
        graph = onnx_export.without_logits(graph)
        session = onnx_export.open_session(graph)
    content = graph.SerializeToString()
    with output_errors():
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(content)
    Console().print(latency_table(networks, session, len(content), size))
    print(args.out)
    for what, values in (('in', session.get_inputs()), ('out', session.get_outputs())):
        for value in values:
            print(f'  {what}: {value.name}, {value.type}, {value.shape}')
