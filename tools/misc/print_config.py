"""Print a config with its bases and overrides merged:
python tools/misc/print_config.py CONFIG"""

import argparse

from mmengine.config import Config

from mmkd.engine.arguments import add_config_options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    add_config_options(parser)
    args = parser.parse_args()
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    print(config.pretty_text)


if __name__ == '__main__':
    main()
