"""See ``mmkd publish --help``."""

from mmkd.cli.publish import main

if __name__ == '__main__':
    main()
