"""Export a segmentor, a distilled one without its teacher, to ONNX:
python tools/deployment/export_onnx.py CONFIG CHECKPOINT --out student.onnx

In: images, uint8 (batch, height, width, 3), RGB as they are: normalising is inside.
Out: labels, uint8 (batch, height, width); with --logits also float32 logits (batch,
classes, height, width). The file is written if onnxruntime gives mmseg's labels."""

import argparse
from pathlib import Path

from mmkd.cli.arguments import add_config_options


def parse_args() -> argparse.Namespace:
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
        '--dynamic', action='store_true', help='take images of any other size as well'
    )
    parser.add_argument('--logits', action='store_true', help='give the logits as well')
    parser.add_argument(
        '--images',
        type=Path,
        nargs='+',
        metavar='PATH',
        help='images, or folders of them, to compare with mmseg on (default: the '
        "config's test images)",
    )
    parser.add_argument(
        '--max-images', type=int, default=20, help='how many of them (default: 20)'
    )
    parser.add_argument(
        '--opset', type=int, help="version of ONNX's operators (default: PyTorch's)"
    )
    add_config_options(parser)
    return parser.parse_args()


def export(args: argparse.Namespace) -> None:
    from rich.console import Console

    from mmkd.deployment import agreement, network, onnx_file
    from mmkd.deployment.side_by_side import side_by_side
    from mmkd.deployment.writing import write
    from mmkd.engine.config import read_config
    from mmkd.engine.student_config import is_distillation

    onnx_file.check_extra()
    config = read_config(args.config, args.cfg_options)
    size = tuple(args.size or agreement.image_size(config))
    images = agreement.find_images(
        args.images or [agreement.images_folder(config)], args.max_images
    )
    student, meta = network.load_student(config, args.checkpoint, allow_extra=True)
    key = 'model.student' if is_distillation(config) else 'model'
    network.check_whole(student, key)
    teacher = network.load_teacher(config)

    networks = {'student' if teacher else 'network': network.Deployable(student)}
    (deployable,) = networks.values()
    full = onnx_file.export_onnx(deployable, size, args.dynamic, args.opset)
    onnx_file.note_classes(full, meta)
    session = onnx_file.open_session(full)
    smaller = tuple(side * 3 // 4 + 1 for side in size)
    for each in (size, smaller) if args.dynamic else (size,):
        found = agreement.compare(session, student, images, each)
        print(found)
        found.check()

    graph = full if args.logits else onnx_file.without_logits(full)
    content = graph.SerializeToString()
    write(args.out, content)
    if teacher:
        networks['teacher'] = network.Deployable(teacher)
    session = onnx_file.open_session(graph)
    table = side_by_side(networks, session, len(content), size)
    Console().print(table)
    print(f'{args.out}')
    for what, values in (('in', session.get_inputs()), ('out', session.get_outputs())):
        for value in values:
            print(f'  {what}: {value.name}, {value.type}, {value.shape}')


def main() -> None:
    args = parse_args()

    # After the arguments, so that --help answers at once.
    from mmkd.cli.console import silence_import_warnings

    silence_import_warnings()
    from mmkd.cli.console import one_line_errors

    with one_line_errors():
        export(args)


if __name__ == '__main__':
    main()
