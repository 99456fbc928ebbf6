"""Publish a trained network, a distilled one without its teacher:
python tools/model_converters/publish_model.py CONFIG CHECKPOINT --out DIR

Writes DIR/<config>-<hash>.pth, DIR/student.py, a config for mmseg itself, and
DIR/README.md, a model card."""

import argparse
from pathlib import Path

from mmkd.cli.arguments import add_config_options


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument(
        '--format',
        choices=['pth', 'safetensors'],
        default='pth',
        help='of the weights (default: pth)',
    )
    add_config_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # After the arguments, so that --help answers at once.
    from mmkd.cli.console import silence_import_warnings

    silence_import_warnings()
    from mmkd.cli.console import one_line_errors
    from mmkd.deployment.publish import publish
    from mmkd.engine.config import read_config

    with one_line_errors():
        config = read_config(args.config, args.cfg_options)
        path = publish(config, args.checkpoint, args.out, args.format)
    print(f'{path}, with student.py and README.md beside it')


if __name__ == '__main__':
    main()
