"""Train a network, or distil one: python tools/train.py CONFIG"""

import argparse

from mmkd.engine.arguments import add_common_arguments


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the latest checkpoint in the work-dir, if there is one',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in automatic mixed precision'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # After the arguments, so that --help answers at once.
    from mmkd.engine.quiet import quiet

    quiet()
    from mmkd.engine import launch, run_config
    from mmkd.engine.blame import naming_keys
    from mmkd.engine.hooks import (
        CheckDataHook,
        LastValidationHook,
        MemoryHook,
        PositionSeedHook,
        SaveOnSignalHook,
    )

    with launch.guarded():
        config = run_config.load_config(args)
        if args.resume:
            run_config.resume_latest(config, args.cfg_options)
        if args.amp:
            run_config.enable_amp(config)
        run_config.check_data(config, 'train', 'val')
        with naming_keys(config):
            runner = launch.build_runner(config)
            launch.check_start(runner)
            runner.register_hook(CheckDataHook())
            runner.register_hook(MemoryHook())
            runner.register_hook(PositionSeedHook())
            runner.register_hook(SaveOnSignalHook())
            runner.register_hook(LastValidationHook())
            runner.train()


if __name__ == '__main__':
    main()
