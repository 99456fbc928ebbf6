"""Evaluate a network, a distilled one without its teacher:
python tools/test.py CONFIG CHECKPOINT"""

import argparse

from mmkd.engine.arguments import add_common_arguments


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--out', help='folder to write the predictions to')
    parser.add_argument('--show', action='store_true', help='show predictions')
    parser.add_argument('--show-dir', help='folder to write painted images to')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that --show shows an image'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation (flips and scales)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # After the arguments, so that --help answers at once.
    from mmkd.engine.quiet import quiet

    quiet()
    from mmkd.engine import launch, run_config
    from mmkd.engine.blame import naming_keys
    from mmkd.engine.hooks import CheckDataHook
    from mmkd.engine.student_config import student_config

    with launch.guarded():
        config = student_config(run_config.load_config(args))
        config.load_from = args.checkpoint
        if args.show or args.show_dir:
            run_config.enable_visualization(
                config, args.show, args.show_dir, args.wait_time
            )
        if args.tta:
            run_config.enable_tta(config)
        if args.out is not None:
            config.test_evaluator.update(output_dir=args.out, keep_results=True)
        run_config.check_data(config, 'test')
        with naming_keys(config):
            runner = launch.build_runner(config)
            launch.check_checkpoint(runner)
            runner.register_hook(CheckDataHook())
            runner.test()


if __name__ == '__main__':
    main()
