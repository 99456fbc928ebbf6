"""See ``mmkd train --help``."""

from mmkd.cli.train import main

if __name__ == '__main__':
    main()
