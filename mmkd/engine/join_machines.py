"""The machines of a training find one another, or say which of them is missing."""

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
        address: Of the first machine.
        port: On that machine.
        rank: Which of the machines this is, from 0.
        number: Of machines.

    Returns:
        The store, which torchrun shares; to be kept while that runs.

    Raises:
        UserError: if a machine is missing after JOIN_TIMEOUT seconds, 100 by default.
    """
    seconds = os.environ.get('JOIN_TIMEOUT', '100')
    if not seconds.isdecimal():
        raise UserError(f"JOIN_TIMEOUT: '{seconds}' is no whole number of seconds")
    until = time.monotonic() + int(seconds)
    first = f'machine 0 (MASTER_ADDR={address}, PORT={port})'
    end = (
        f'within {seconds} s (JOIN_TIMEOUT); start the same command on every machine '
        'within that time, with NODE_RANK from 0'
    )
    while rank > 0:  # TCPStore would print what no user can read
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
                time.sleep(4 * POLL if rank == 0 else 0)  # it has the store
                names = ', '.join(f'machine {each}' for each in missing)
                raise UserError(f'NNODES={number}: no word from {names} {end}')
            time.sleep(POLL)
    except DistError as error:
        if rank == 0:  # its port is in use
            raise
        raise UserError(
            f'NNODES={number}: {first} has ended; what it printed says why'
        ) from error
    return store
