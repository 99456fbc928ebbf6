"""Termination of a training process with its launcher, even if that is killed."""

import ctypes
import os
import signal
import sys

import torch

# Environment variable with the process ID of the launcher, mmkd.engine.torchrun.
VARIABLE = 'MMKD_LAUNCHER'
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def end_with_launcher() -> None:
    """Ask the kernel to kill this process when its parent, torchrun, has ended.

    Otherwise the process would continue training unnoticed. PyTorch ends its data
    loader workers within seconds after it. Only on Linux.
    """
    if sys.platform != 'linux' or not torch.distributed.is_torchelastic_launched():
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = str(os.getppid())
    # Remove the variable: this process may start another launcher.
    if os.environ.pop(VARIABLE, parent) != parent:  # the launcher has already ended
        sys.exit('error: the launcher of this process has ended')
