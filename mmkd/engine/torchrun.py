"""torchrun with one-line errors instead of its own tracebacks.

Run as python -m mmkd.engine.torchrun [arguments of torchrun].
"""

import os
import re
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from mmkd.engine import end_with_launcher, lost_process
from mmkd.engine.join_machines import join_machines
from mmkd.errors import UserError


def main() -> None:
    """Run torchrun."""
    os.environ[end_with_launcher.VARIABLE] = str(os.getpid())
    args = run.parse_args(sys.argv[1:])
    try:
        if args.nnodes.isdecimal() and (machines := int(args.nnodes)) > 1:
            address, port = args.master_addr, args.master_port
            _store = join_machines(address, port, args.node_rank, machines)
        run.main()
    except UserError as error:
        sys.exit(f'error: {error}')
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:  # a killed process cannot report it itself
            sys.exit(f'error: process {rank} was killed: {failure.message}')
        if failure.exitcode == lost_process.STATUS:
            sys.exit(f'error: another process than {rank} ended first, see above')
        sys.exit(
            f'error: process {rank} ended with exit status {failure.exitcode}; see its '
            'own error above'
        )
    except SignalException as error:
        sys.exit(128 + error.sigval)
    except RuntimeError as error:
        if not re.search('EADDRINUSE|address already in use', str(error), re.I):
            raise
        port = os.environ.get('PORT', '29500')
        sys.exit(
            f'error: PORT: {port} is in use on this machine, maybe by another '
            'training; set another port before the command, such as '
            f'PORT={int(port) + 1} bash tools/dist_train.sh ...'
        )


if __name__ == '__main__':
    main()
