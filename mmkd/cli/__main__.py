"""Entry point of ``python -m mmkd.cli``."""

from . import main

if __name__ == '__main__':
    main()
