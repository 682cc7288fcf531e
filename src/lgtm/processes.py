"""Several processes for one stage: how they start and end, and which of them writes.

LGTM_PROCESSES=2 in the environment starts them on this machine, one per GPU where there are GPUs; torchrun may do it
too, and what calls it, as `accelerate launch` on GPUs. Each runs the whole stage, and the first one, the main process,
alone writes and shows how far it is. What they compute apart and put together is in lgtm.networks.parallel.
"""

import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from pathlib import Path

from lgtm.errors import UserError

# torch and accelerate are imported where they are used: who writes, a stage without networks asks too.

VARIABLE = "LGTM_PROCESSES"
GRACE = 5.0  # seconds in which the others end by themselves when one has failed
_writing = ContextVar("writing", default=False)  # whether this is in what the main process does while the others wait


def asked() -> int:
    """The number of processes that the environment asks for. Raises UserError for what is no number."""
    said = os.environ.get(VARIABLE, "1")
    if not said.isdecimal() or int(said) < 1:
        raise UserError(f"{VARIABLE}={said}: should be a number of processes from 1 on")
    return int(said)


def count() -> int:
    """How many processes this one is one of."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return count() == 1 or int(os.environ.get("RANK", 0)) == 0


def by_main(write: Callable[..., None]) -> Callable[..., None]:
    """A function that writes: the main process does it, and all go on when it is done. It may call others like it."""

    @wraps(write)
    def written(*args, **options) -> None:
        if is_main():
            outside = _writing.set(True)
            try:
                write(*args, **options)
            finally:
                _writing.reset(outside)
        wait()

    return written


def wait() -> None:
    """Go on when all processes are here."""
    if count() > 1 and not _writing.get():
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def launch(work: Callable[[], None], processes: int) -> None:
    """Do the work in so many forks of this process, and end as they end; the first that fails says why.

    This process must not have touched CUDA, nor made a PartialState. Raises UserError for more processes than GPUs, and
    SystemExit where a fork failed.
    """
    import torch
    from torch.multiprocessing import ProcessExitedException, start_processes

    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise UserError(f"{VARIABLE}={processes}: more processes than GPUs that can be seen here; set at most {gpus}")
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # whom it ends is no news
    with tempfile.TemporaryDirectory() as folder:
        arguments = work, processes, Path(folder)
        forks = start_processes(_take_part, arguments, processes, join=False, daemon=True, start_method="fork")
        try:
            while not forks.join(grace_period=GRACE):
                pass
        except ProcessExitedException as error:
            if error.exit_code < 0:
                raise UserError(
                    f"process {error.error_index + 1} of {processes} was ended by {error.signal_name}"
                ) from error
            sys.exit(error.exit_code)


def _take_part(rank: int, work: Callable[[], None], processes: int, folder: Path) -> None:
    """Be one of the processes. The file `failed` in the folder says that one has failed, and has said why."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ |= {name: str(value) for name, value in own.items()}
    # It is sent when the parent is gone, and in a shell's background it would be ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # they are all here; gloo would look its host's name up
    try:
        meet(init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=processes)
        work()
    except Exception as error:
        if _first(folder / "failed"):
            said = f"error: {error}\n" if isinstance(error, UserError) else traceback.format_exc()
            sys.__stderr__.write(said)
        sys.exit(1)


def _first(path: Path) -> bool:
    """Whether no other process was here before; the others fail for want of the one that did."""
    try:
        path.open("x").close()
    except FileExistsError:
        return False
    return True


def meet(**meeting: str | int) -> None:
    """Join the other processes; all but the main one fall silent.

    meeting: of torch.distributed.init_process_group; none where the environment has it, as accelerate's launcher does.
    """
    import torch
    from accelerate import PartialState

    if not is_main():
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    # On several CPUs accelerate has to be told so.
    PartialState(cpu=not torch.cuda.is_available(), **meeting)
