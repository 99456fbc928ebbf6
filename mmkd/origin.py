"""Version and commit of mmkd, and the current command line."""

import shlex
import subprocess
import sys
from pathlib import Path

from . import __version__

CHECKOUT = Path(__file__).parents[1]


def commit() -> str:
    """Return the checkout's commit, with ``-dirty`` if modified; '' without one."""
    if not (CHECKOUT / '.git').exists():
        return ''
    command = ['git', '-C', str(CHECKOUT), 'describe']
    command += ['--always', '--dirty', '--exclude=*']
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:  # git is not installed
        return ''


def version() -> str:
    """Return the version, followed by the commit if it is known."""
    return ' '.join([__version__, *filter(None, [commit()])])


def command() -> str:
    """Return the command line of this process, quoted for a shell."""
    return shlex.join(sys.argv)
