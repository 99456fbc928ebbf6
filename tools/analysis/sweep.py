"""See ``mmkd sweep --help``."""

from mmkd.cli.sweep import main

if __name__ == '__main__':
    main()
