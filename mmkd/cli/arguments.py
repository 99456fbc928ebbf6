"""Command-line arguments shared by several commands, as in mmseg."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config and the options shared by training and testing."""
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    add_config_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='launcher of the processes (default: none, a single process)',
    )
    # Old launchers pass the local rank as an option; MMEngine reads it from the
    # environment.
    parser.add_argument(
        '--local_rank', '--local-rank', action=_LocalRank, help=argparse.SUPPRESS
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        help='override config keys with key=value; lists are key="[a,b]" or key=a,b',
    )


def run_config(args: argparse.Namespace) -> 'Config':
    """Read the config, and set launcher, overrides and work_dir.

    The work_dir is ``--work-dir``, the config's own, or ``work_dirs/<config name>``,
    with ``--method`` ``work_dirs/<config name>_<method>``: never that of the baseline.
    Python also imports modules from the config's folder, after all others.

    Raises:
        UserError: see :func:`mmkd.engine.config.read_config`.
    """
    from mmkd.engine.config import read_config

    config = read_config(args.config, args.cfg_options)
    sys.path.append(str(Path(args.config).resolve().parent))
    config.launcher = args.launcher
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        name = Path(args.config).stem
        if method := getattr(args, 'method', None):
            name += f'_{Path(method).stem}'
        config.work_dir = str(Path('work_dirs', name))
    return config


class _Options(argparse.Action):
    """Parser of ``key=value`` with one-line errors."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        from mmengine.config import DictAction  # here, so that --help is fast

        parse = DictAction(self.option_strings, self.dest)
        for text in values:
            try:
                parse(parser, namespace, [text], option_string)
            except (AssertionError, RecursionError, ValueError) as error:
                parser.error(f"--cfg-options: '{text}' is not key=value: {error}")


class _LocalRank(argparse.Action):
    """Set the local rank in the environment, unless it is set."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        os.environ.setdefault('LOCAL_RANK', values)
