"""Version and commit of mmkd, and the command that runs it."""

import shlex
import subprocess
import sys
from pathlib import Path

from . import __version__

CHECKOUT = Path(__file__).parents[1]


def commit() -> str:
    """Return the checkout's commit, if there is one; ``-dirty`` with changes to it."""
    if not (CHECKOUT / '.git').exists():
        return ''
    command = ['git', '-C', str(CHECKOUT), 'describe']
    command += ['--always', '--dirty', '--exclude=*']
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:  # no git
        return ''


def version() -> str:
    """Return the version, and the commit where there is one."""
    return ' '.join([__version__, *filter(None, [commit()])])


def command() -> str:
    """Return the command line of this process, as a shell takes it."""
    return shlex.join(sys.argv)
