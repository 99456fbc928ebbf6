"""See ``mmkd print_config --help``."""

from mmkd.cli.print_config import main

if __name__ == '__main__':
    main()
