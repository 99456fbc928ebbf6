"""Print a config with merged bases and overrides."""

import argparse

from .arguments import add_config_options


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    add_config_options(parser)
    args = parser.parse_args(argv)

    from mmkd.engine.config import read_config

    from .console import one_line_errors

    with one_line_errors():
        print(read_config(args.config, args.cfg_options).pretty_text)
