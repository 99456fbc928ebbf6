"""Processes that end with their launcher, even if it is killed."""

import ctypes
import os
import signal
import sys

import torch

# The launcher's process number, from mmkd.engine.torchrun.
VARIABLE = 'MMKD_LAUNCHER'
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with_launcher() -> None:
    """Have the kernel kill this process when torchrun, its parent, is gone.

    It would train on, unseen. Workers of its data loaders end within seconds of it, as
    PyTorch has them do. Only on Linux.
    """
    if sys.platform != 'linux' or not torch.distributed.is_torchelastic_launched():
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = str(os.getppid())
    # Taken away, as a launcher that this process starts is another one.
    if os.environ.pop(VARIABLE, parent) != parent:  # it was gone before
        sys.exit('error: the launcher of this process has ended')
