"""See ``mmkd doctor --help``."""

from mmkd.cli.doctor import main

if __name__ == '__main__':
    main()
