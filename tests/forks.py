"""A python for `dvc repro` that has imported torch already: what it runs is a fork, which takes no time to start.

A stage of its own process imports for four seconds and works for half of one. Here one process imports what all stages
do and then waits; `python -m ...` hands it its arguments, folder, environment and output, and ends as the fork ends.
"""

import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """#!/bin/sh
exec {python} -IS -c '
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect("{address}")
socket.send_fds(server, [json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()], [1, 2])
server.shutdown(socket.SHUT_WR)
sys.exit(server.recv(1)[0])
' "$@"
"""


@contextmanager
def forking_python(project: Path, folder: Path) -> Iterator[Path]:
    """Put a `python` into the folder, for a PATH to begin with; it serves while the context is open."""
    address = folder / "socket"
    client = folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()  # from here on who comes early waits
        command = [sys.executable, __file__, str(listener.fileno())]
        environment = os.environ | {"PYTHONPATH": "src:."}
        server = subprocess.Popen(command, cwd=project, env=environment, pass_fds=[listener.fileno()])
    try:
        yield folder
    finally:
        server.terminate()
        server.wait()


def serve(listener: socket.socket) -> None:
    """Fork for each request, one after the other as dvc repro runs them; return in the fork."""
    while True:
        connection, _ = listener.accept()
        with connection:
            child = os.fork()
            if child == 0:
                become(connection)
                return
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            connection.sendall(bytes([status % 256]))


def become(connection: socket.socket) -> None:
    """Take over the arguments, folder, environment and output of the process that asks."""
    request, outputs, *_ = socket.recv_fds(connection, 2**16, 2)
    with connection.makefile("rb") as rest:
        arguments, folder, environment = json.loads(request + rest.read())
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    option, module, *sys.argv[1:] = arguments
    assert option == "-m"
    sys.argv[0] = module


if __name__ == "__main__":
    # Stages import dvclive where they use it.
    for module in [*(f"stages.{script.stem}" for script in Path("stages").glob("*.py")), "dvclive", "dvc.repo"]:
        importlib.import_module(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    # Without error: to take down all that was imported takes half a second more.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
