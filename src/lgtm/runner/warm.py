"""A python that has imported everything: what it is asked to run is a fork of it, which takes no time to start.

A stage in a process of its own imports for four seconds and works for one. Here one process imports what all stages
need and reads DVC's graph, then waits; `python -m ...` hands it its arguments, folder, environment and output, and ends
as the fork ends. It never touches CUDA, which does not survive a fork.
"""

import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from lgtm.environment import set_defaults
from lgtm.inputs import STAGES, watch_code
from lgtm.runner import graph

LATE = ("dvclive", "dvc.repo.reproduce")
LOST = 1  # the exit status of what was running in a warm python that died
# A `python` for the stages' commands; any other command has the real one. -IS: it starts in 20 ms.
CLIENT = """#!/bin/sh
[ "$1 $2" = "-m lgtm.stage" ] || exec {python} "$@"
exec {python} -IS -c '
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
socket.send_fds(server, [json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()], [1, 2])
server.shutdown(socket.SHUT_WR)
sys.exit((server.recv(1) or b"\\1")[0])
' {address} "$@"
"""


class WarmPython:
    """A warm python for a project's folder, while the context is open; whatever it runs then ends with it.

    It starts when it is first asked. It ends, and all it runs, when this process does, however that ends.
    """

    def __init__(self, project: Path):
        self.project = project.absolute()
        self.server: subprocess.Popen | None = None
        self.ended = False
        self._starting = threading.Lock()

    def __enter__(self) -> "WarmPython":
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=short_temporary_folder())))
            self.address = self.folder / "socket"
            client = self.folder / "python"
            client.write_text(CLIENT.format(python=shlex.quote(sys.executable), address=shlex.quote(str(self.address))))
            client.chmod(0o755)
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start it, if it has not been started."""
        with self._starting:
            if self.ended or (self.server is not None and self.server.poll() is None):
                return
            self.address.unlink(missing_ok=True)  # of one that has died
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(self.address))
                listener.listen()  # from here on who comes early waits, and who comes when it has died is refused
                self.server = subprocess.Popen(
                    [sys.executable, "-m", "lgtm.runner.warm", str(listener.fileno())],
                    cwd=self.project, env=os.environ | {"PYTHONPATH": "src:."}, pass_fds=[listener.fileno()],
                    stdin=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip

    def run(self, module: str, *arguments: str, log: Path) -> int:
        """Run `python -m module arguments` in the project's folder, its output into the file; returns its exit status.

        What it runs in turn finds this warm python as `python`.
        """
        self.start()
        environment = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}", "PYTHONPATH": "src"}
        request = json.dumps([["-m", module, *arguments], str(self.project), environment])
        with log.open("ab") as output, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(str(self.address))
                socket.send_fds(server, [request.encode()], [output.fileno(), output.fileno()])
                server.shutdown(socket.SHUT_WR)
                return (server.recv(1) or bytes([LOST]))[0]
            except OSError:
                return LOST

    def _end(self) -> None:
        """End it and all that it runs: they are one process group."""
        with self._starting:
            self.ended = True
            if self.server:
                with suppress(ProcessLookupError):
                    os.killpg(self.server.pid, signal.SIGKILL)
                self.server.stdin.close()
                self.server.wait()


def short_temporary_folder() -> str | None:
    """Where a socket's address is short enough, which may be 107 bytes long; None: where temporary files go."""
    return "/tmp" if len(tempfile.gettempdir()) > 70 else None


class Server:
    """What a warm python does: fork for each request, and hand on how each fork ends."""

    def __init__(self, listener: socket.socket):
        self.listener = listener
        self.running: dict[int, socket.socket] = {}
        self.poll = select.poll()
        self.wake, wake = socket.socketpair()
        for end in (self.wake, wake):
            end.setblocking(False)
        self.waker = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for source in (listener, self.wake, sys.stdin):
            self.poll.register(source, select.POLLIN)

    def serve(self) -> None:
        """Serve until the process that asked for this one is gone; returns in a fork, which then is what was asked."""
        while True:
            for source, _ in self.poll.poll():
                if source == self.listener.fileno():
                    if self._accept():
                        return
                elif source == self.wake.fileno():
                    self.wake.recv(2**12)
                    self._reap()
                elif source == sys.stdin.fileno():
                    os.killpg(0, signal.SIGKILL)
                else:
                    self._abandon(source)

    def _accept(self) -> bool:
        """Fork for a request; whether this is the fork."""
        connection, _ = self.listener.accept()
        request, outputs = _read_request(connection)
        child = os.fork()
        if child == 0:
            self._forget(connection)
            become(request, outputs)
            return True
        for output in outputs:
            os.close(output)
        self.running[child] = connection
        self.poll.register(connection, 0)  # it hangs up: who asked is gone
        return False

    def _reap(self) -> None:
        while self.running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            with self.running.pop(child) as connection:
                with suppress(KeyError):  # abandoned
                    self.poll.unregister(connection)
                with suppress(OSError):  # who asked is gone
                    connection.sendall(bytes([os.waitstatus_to_exitcode(status) % 256]))

    def _abandon(self, source: int) -> None:
        """End the fork that nobody waits for any more; how it ends is seen as any other's."""
        with suppress(KeyError):  # it has ended just now
            self.poll.unregister(source)
        for child, connection in self.running.items():
            if connection.fileno() == source:
                os.kill(child, signal.SIGKILL)

    def _forget(self, connection: socket.socket) -> None:
        """In a fork: nothing of the server stays."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (connection, self.listener, self.wake, self.waker, *self.running.values()):
            end.close()


def _read_request(connection: socket.socket) -> tuple[bytes, list[int]]:
    """The bytes of a request and the files that its output goes to."""
    request, outputs, *_ = socket.recv_fds(connection, 2**16, 2)
    with connection.makefile("rb") as rest:
        return request + rest.read(), outputs


def become(request: bytes, outputs: Sequence[int]) -> None:
    """Take over the arguments, folder, environment and output of the process that asks."""
    arguments, folder, environment = json.loads(request)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
        os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _, *sys.argv = arguments  # of python -m module ...


def preload() -> None:
    """Import what the stages import, also where they do so late, and read DVC's graph."""
    watch_code()
    set_defaults()
    for module in [*(f"stages.{script.stem}" for script in sorted(STAGES.glob("*.py"))), *LATE]:
        with suppress(Exception):  # whoever needs it imports it anew, and says what is wrong with it
            importlib.import_module(module)
    graph.loaded()
    gc.freeze()  # what is there is never searched for garbage: pages that forks share stay shared


def main() -> None:
    """Serve on the socket whose number is the argument; in a fork, run what was asked."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    preload()
    Server(listener).serve()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    # Without error: to take down all that was imported takes half a second more.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
