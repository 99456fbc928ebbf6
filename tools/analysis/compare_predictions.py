"""See ``mmkd compare_predictions --help``."""

from mmkd.cli.compare_predictions import main

if __name__ == '__main__':
    main()
