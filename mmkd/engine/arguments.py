"""The command-line arguments that training and testing share, as in mmseg."""

import argparse
import os

from mmengine.config import DictAction


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the config and the flags that both ``train.py`` and ``test.py`` take."""
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    add_config_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (default: there is one process)',
    )
    # Old launchers pass the local rank as a flag; MMEngine reads the environment.
    parser.add_argument(
        '--local_rank', '--local-rank', action=_LocalRank, help=argparse.SUPPRESS
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override config keys, as key=value; a list is key="[a,b]" or key=a,b',
    )


class _LocalRank(argparse.Action):
    """Puts the local rank into the environment, unless it is there."""

    def __call__(self, parser, namespace, value, option_string=None) -> None:
        os.environ.setdefault('LOCAL_RANK', value)
