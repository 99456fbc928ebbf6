"""See ``mmkd export --help``."""

from mmkd.cli.export import main

if __name__ == '__main__':
    main()
