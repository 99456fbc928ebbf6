"""Run the console command: ``python -m mmkd.cli``."""

from . import main

main()
