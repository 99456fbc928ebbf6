"""A ``python`` whose commands are forks of a process that has imported the stack.

It spares each command the seconds of its imports. What it prints, its exit status and
its signals are those of the command.
"""

import gc
import json
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path

from mmkd.engine.end_with_launcher import VARIABLE

from .small import ARGUMENTS, make_small

# What trainings import as they go.
ALSO_IMPORTED = ('matplotlib.backends.backend_agg', 'matplotlib.pyplot')

# The interpreter starts it without the site-packages, in some hundredths of a second.
SHIM = """#!{python} -IS
import json, os, signal, socket, sys
arguments = [argument for argument in sys.argv[1:] if argument != '-u']
if not arguments or arguments[0] != '-m' and not arguments[0].endswith('.py'):
    os.execv('{python}', ['{python}', *sys.argv[1:]])
connection = socket.socket(socket.AF_UNIX)
connection.connect('{address}')
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: os.kill(pid, number))
message = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(connection, [len(message).to_bytes(8, 'big')], [0, 1, 2])
connection.sendall(message)
answers = connection.makefile()
pid = int(answers.readline())
sys.exit(int(answers.readline() or 137))  # nothing, if it was killed
"""


def write_shim(path: Path, address: Path) -> None:
    """Write the ``python`` that asks the server at an address, and a ``mmkd``."""
    path.write_text(SHIM.format(python=sys.executable, address=address))
    path.chmod(0o755)
    command = path.with_name('mmkd')
    command.write_text('#!/bin/sh\nexec python -m mmkd.cli "$@"\n')
    command.chmod(0o755)


def serve(listener: socket.socket, executable: str) -> None:
    """Runs commands in forks of this process, while its parent lives."""
    make_small()
    for name in ALSO_IMPORTED:
        import_module(name)
    gc.freeze()  # what is imported is no garbage
    multiprocessing.set_start_method('fork', force=True)  # what it is in a new process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leaves no zombies
    listener.settimeout(1)
    while multiprocessing.parent_process().is_alive():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.executable = executable
            code = answer(connection)
            connection.sendall(f'{code}\n'.encode())
            os._exit(code)
        connection.close()


def answer(connection: socket.socket) -> int:
    """Runs a command as the shim would have; returns its exit status."""
    size, fds, *_ = socket.recv_fds(connection, 8, 3)
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    message = connection.makefile('rb').read(int.from_bytes(size, 'big'))
    arguments, folder, environment = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.pop(VARIABLE, None)  # the parent is the server, not the launcher
    connection.sendall(f'{os.getpid()}\n'.encode())
    try:
        run(arguments)
        return 0
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def run(arguments: list[str]) -> None:
    """Runs a script, or a module after ``-m``."""
    path = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    sys.path[1:1] = [folder or '.' for folder in path]
    if arguments[0] == '-m':
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
        return
    script = arguments[0]
    sys.argv = arguments + ARGUMENTS.get(Path(script).name, [])
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name='__main__')
