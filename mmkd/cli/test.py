"""Evaluate a network, the student of a distillation."""

import argparse

from .arguments import add_run_arguments, run_config


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--out', help='folder to write the predictions to')
    parser.add_argument('--show', action='store_true', help='show predictions')
    parser.add_argument('--show-dir', help='folder to write drawn predictions to')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds per image with --show'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation (flips and scales)'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    from mmengine.config import Config

    from mmkd.engine.config import (
        enable_tta,
        enable_visualization,
        write_predictions,
    )
    from mmkd.engine.config_errors import naming_keys
    from mmkd.engine.runner import Runner

    with one_line_errors():
        config = run_config(args)
        # Remove the file name: the Runner would overwrite the config of the training.
        config = Config(config.to_dict())
        config.load_from, config.resume = args.checkpoint, False
        if args.show or args.show_dir:
            enable_visualization(config, args.show, args.show_dir, args.wait_time)
        if args.tta:
            enable_tta(config)
        if args.out is not None:
            write_predictions(config, args.out)
        with naming_keys(config):
            Runner.from_cfg(config).test()
