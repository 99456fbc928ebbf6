"""See ``mmkd report --help``."""

from mmkd.cli.report import main

if __name__ == '__main__':
    main()
