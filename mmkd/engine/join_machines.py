"""Rendezvous of the machines of a training, with errors that name a missing one."""

import os
import socket
import time
from datetime import timedelta

from torch.distributed import DistError, TCPStore

from mmkd.errors import UserError

POLL = 0.5  # seconds


def join_machines(address: str, port: int, rank: int, number: int) -> TCPStore:
    """Wait until all machines have started.

    Args:
        address: Address of the first machine.
        port: Port on the first machine.
        rank: Index of this machine, from 0.
        number: Number of machines.

    Returns:
        The store, shared with torchrun. Keep a reference while torchrun runs.

    Raises:
        UserError: if a machine is missing after JOIN_TIMEOUT seconds, 100 by default.
    """
    seconds = os.environ.get('JOIN_TIMEOUT', '100')
    if not seconds.isdecimal():
        raise UserError(
            f"JOIN_TIMEOUT: '{seconds}' is not a whole number of seconds; set it to one"
        )
    until = time.monotonic() + int(seconds)
    first = f'machine 0 (MASTER_ADDR={address}, PORT={port})'
    end = (
        f'within {seconds} s (JOIN_TIMEOUT); start the same command on every machine '
        'within that time, with NODE_RANK from 0'
    )
    while rank > 0:  # TCPStore's own errors are hard to understand
        try:
            socket.create_connection((address, port), timeout=1).close()
            break
        except OSError as error:
            if time.monotonic() > until:
                raise UserError(
                    f'NNODES={number}: machine {rank} cannot reach {first} {end} '
                    f'({error})'
                ) from error
            time.sleep(POLL)
    over, keys = 'mmkd/over', [f'mmkd/machine/{each}' for each in range(number)]
    try:
        store = TCPStore(
            address,
            port,
            is_master=rank == 0,
            timeout=timedelta(seconds=10),
            wait_for_workers=False,
            multi_tenant=True,  # shared with torchrun
        )
        store.set(keys[rank], '')
        while missing := [i for i, key in enumerate(keys) if not store.check([key])]:
            if time.monotonic() > until or store.check([over]):
                store.set(over, '')
                time.sleep(4 * POLL if rank == 0 else 0)  # rank 0 hosts the store
                names = ', '.join(f'machine {each}' for each in missing)
                raise UserError(f'NNODES={number}: no connection from {names} {end}')
            time.sleep(POLL)
    except DistError as error:
        if rank == 0:  # the port is in use
            raise
        raise UserError(
            f'NNODES={number}: {first} has ended; see its output for the reason'
        ) from error
    return store
