"""See ``mmkd test --help``."""

from mmkd.cli.test import main

if __name__ == '__main__':
    main()
