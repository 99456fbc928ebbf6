"""See ``mmkd demo --help``."""

from mmkd.cli.demo import main

if __name__ == '__main__':
    main()
