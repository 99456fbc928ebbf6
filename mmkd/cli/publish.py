"""Publish a trained network, the student of a distillation.

Writes the weights, DIR/<config>-<hash>.pth, a config for stock mmseg, DIR/student.py,
and a model card, DIR/README.md.
"""

import argparse
from pathlib import Path

from .arguments import add_config_options


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='folder to write to'
    )
    parser.add_argument(
        '--format',
        choices=['pth', 'safetensors'],
        default='pth',
        help='format of the weights (default: pth)',
    )
    add_config_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    from mmkd.deployment.publish import publish
    from mmkd.engine.config import read_config

    with one_line_errors():
        config = read_config(args.config, args.cfg_options)
        path = publish(config, args.checkpoint, args.out, args.format)
        print(f'{path}, with student.py and README.md in the same folder')
