"""Checkpoints and interruption notices for programs that spotrelay runs.

One file, Python 3.8 or later, standard library only: copy it beside your
program. Outside spotrelay everything here does nothing, so that the same
program runs on a laptop.

    import json, spotrelay

    state = {"epoch": 0}
    if spotrelay.resumed():
        state = json.loads((spotrelay.restore() / "state.json").read_text())

    def save_state():
        spotrelay.atomic_write("state.json", json.dumps(state))

    with spotrelay.run(save_state) as r:
        while state["epoch"] < 100:
            train_one_epoch(state)
            state["epoch"] += 1
            save_state()
            spotrelay.save(sync=False)  # committed while the next epoch runs
            r.check()                   # on a notice: leaves, saves, exits 75
        r.done()

The rule of it: the state lies in checkpoint_dir(), in files that are replaced
whole (atomic_write, atomic_path). What is committed is the directory as it is
at that moment, and the next attempt finds it there again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, TypeVar, Union

__all__ = [
    "EXIT_SAVED", "Checkpoint", "Interrupted", "Notice", "SpotrelayError", "active", "atomic_path", "atomic_write",
    "checkpoint_dir", "notice", "on_notice", "output_dir", "restore", "resumed", "run", "save", "status", "stopping",
    "torch_save", "torch_load", "lightning_callback", "lightning_checkpoint", "keras_callback", "keras_restore",
    "huggingface_callback", "huggingface_checkpoint",
]

#: The exit code that says: saved, run me again (EX_TEMPFAIL).
EXIT_SAVED = 75

_POLL_SECONDS = 0.2
_T = TypeVar("_T")


class SpotrelayError(RuntimeError):
    """What was asked of the agent was not done. hint says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.hint = hint


class Interrupted(BaseException):
    """Leaves the block of run(). No Exception, so that no handler of the
    program's own takes it for a failure."""


class Checkpoint(NamedTuple):
    """A committed checkpoint."""

    attempt: int  # that saved it
    sequence: int  # of the save, rising within an attempt
    bytes: int  # of all its files
    unchanged: bool = False  # nothing had changed since, so nothing was saved


class Notice(NamedTuple):
    """An interruption notice, as the agent wrote it."""

    action: str  # "terminate", "stop", "hibernate", as the provider says
    seconds_left: Optional[float]  # until the deadline, not below 0; None: nobody knows
    deadline: Optional[datetime]  # by this machine's clock; None: nobody knows


# ---------------------------------------------------------------- where things are


def active() -> bool:
    """Whether spotrelay runs this program."""
    return bool(os.environ.get("SPOTRELAY_SOCKET"))


def checkpoint_dir() -> Path:
    """The directory that is saved, made where it is missing.

    Outside spotrelay it is $SPOTRELAY_CHECKPOINT_DIR, or ./checkpoint. Within,
    SpotrelayError where the task has no checkpoint block.
    """
    name = os.environ.get("SPOTRELAY_CHECKPOINT_DIR")
    if not name and active():
        raise SpotrelayError("this task has no checkpoint", 'give it a block in the job file: checkpoint { path = "ckpt" }')
    path = Path(name or "checkpoint")
    path.mkdir(parents=True, exist_ok=True)
    return path


def output_dir() -> Path:
    """The directory that is committed on success, made where it is missing.
    Outside spotrelay it is $SPOTRELAY_OUTPUT_DIR, or ./out."""
    name = os.environ.get("SPOTRELAY_OUTPUT_DIR")
    if not name and active():
        raise SpotrelayError("this task has no output", 'give it a block in the job file: output { path = "out" }')
    path = Path(name or "out")
    path.mkdir(parents=True, exist_ok=True)
    return path


def restore() -> Optional[Path]:
    """The checkpoint directory with what an earlier attempt saved, or None on a
    fresh start: the first attempt, or nothing in the directory.

    The agent has put the files there before this program started. Outside
    spotrelay it is None, unless SPOTRELAY_CHECKPOINT_DIR names a directory
    that has something in it.
    """
    name = os.environ.get("SPOTRELAY_CHECKPOINT_DIR")
    if not name or active() and os.environ.get("SPOTRELAY_RESUMED") != "1":
        return None
    path = Path(name)
    return path if path.is_dir() and any(path.iterdir()) else None


def resumed() -> bool:
    """Whether there is something to go on from."""
    return restore() is not None


# ---------------------------------------------------------------- writing files whole


@contextlib.contextmanager
def atomic_path(path: Union[str, Path]) -> Iterator[Path]:
    """A path to write a file to, which replaces path when the block ends well.

    A relative path lies in checkpoint_dir(). Until the end there is what was
    there before; after an error too. The file has path's own suffix, since
    some libraries choose their format by it.
    """
    target = checkpoint_dir() / path  # an absolute path stays as it is
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(".new-" + target.name)  # what a kill leaves of it, the next one replaces
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        yield temporary
        with open(str(temporary), "rb") as written:
            os.fsync(written.fileno())
        os.replace(str(temporary), str(target))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def atomic_write(path: Union[str, Path], data: Union[str, bytes]) -> Path:
    """Writes a file whole, see atomic_path, and is its path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return checkpoint_dir() / path


# ---------------------------------------------------------------- asking the agent


def _ask(request: Dict[str, Any]) -> Dict[str, Any]:
    """One line of JSON there, one back."""
    where = os.environ["SPOTRELAY_SOCKET"]
    line = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(where)
            connection.sendall(json.dumps(request).encode("utf-8") + b"\n")
            while not line.endswith(b"\n"):
                part = connection.recv(65536)
                if not part:
                    break
                line += part
    except OSError as error:
        raise SpotrelayError(f"no agent answers at {where}: {error}") from error
    if not line:
        raise SpotrelayError("the agent ended before it answered", "the attempt is ending; what was committed before is safe")
    try:
        answer = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise SpotrelayError(f"the agent's answer cannot be read: {error}") from error
    if not isinstance(answer, dict) or not answer.get("ok"):
        message = answer.get("error") if isinstance(answer, dict) else None
        raise SpotrelayError(message or f"the agent refused {request['op']}", answer.get("hint", "") if isinstance(answer, dict) else "")
    return answer


def save(sync: bool = True) -> Optional[Checkpoint]:
    """Commits the checkpoint directory as it is now.

    With sync it returns the checkpoint after the commit. Without, it returns
    at once (the newest committed one up to now, or None) and the agent saves
    while the program goes on; then files must only be replaced whole.
    SpotrelayError when it was not saved: the checkpoint before is untouched,
    and the call may be repeated. Outside spotrelay it does nothing: None.
    """
    if not active():
        return None
    answer = _ask({"op": "save"} if sync else {"op": "save", "background": True})
    ref = answer.get("checkpoint")
    if not ref:
        return None
    return Checkpoint(ref["attempt"], ref["sequence"], ref.get("bytes", 0), bool(answer.get("unchanged")))


def status(wait: bool = False) -> Optional[Dict[str, Any]]:
    """How the attempt and its saves stand, as the agent says; with wait, when
    no save is under way. None outside spotrelay."""
    return _ask({"op": "status", "wait": wait}).get("status") if active() else None


def notice() -> Optional[Notice]:
    """The interruption notice, or None when there is none."""
    name = os.environ.get("SPOTRELAY_NOTICE_FILE")
    if not name:
        return None
    try:
        written = os.stat(name).st_mtime
        document = json.loads(Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SpotrelayError(f"the notice file {name} cannot be read: {error}") from error
    seconds = document.get("seconds") or 0
    if seconds <= 0 and not document.get("deadline"):
        return Notice(document.get("action", ""), None, None)
    ends = written + seconds
    return Notice(document.get("action", ""), max(0.0, ends - time.time()), datetime.fromtimestamp(ends, timezone.utc))


def on_notice(callback: Callable[[Notice], None]) -> Callable[[], None]:
    """Calls callback once, in a thread of its own, when a notice comes. What is
    returned ends the watch. Outside spotrelay it never comes."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            found = notice()
            if found is not None:
                callback(found)
                return
            ended.wait(_POLL_SECONDS)

    if os.environ.get("SPOTRELAY_NOTICE_FILE"):
        threading.Thread(target=watch, name="spotrelay-notice", daemon=True).start()
    return ended.set


# ---------------------------------------------------------------- a program's life

_told = False  # a signal came; no Event, whose lock a handler could meet


def stopping() -> bool:
    """Whether to come to an end soon: a signal came within run(), or a notice."""
    name = os.environ.get("SPOTRELAY_NOTICE_FILE")
    return _told or bool(name and os.path.exists(name))


class Run:
    """What run() gives."""

    def __init__(self, save: Optional[Callable[[], Any]], signals: Iterable[int]) -> None:
        self._save = save
        self._signals = list(signals)
        self._before: List[Any] = []
        self._done = False

    @property
    def stopping(self) -> bool:
        """Whether to come to an end soon."""
        return stopping()

    def check(self) -> None:
        """Call it where the state is whole: leaves the block when it is time."""
        if stopping():
            raise Interrupted()

    def steps(self, of: Iterable[_T]) -> Iterator[_T]:
        """Goes over an iterable, with a check before each step."""
        for step in of:
            self.check()
            yield step

    def done(self) -> None:
        """The work is complete: the exit code is 0 even if a notice has come."""
        self._done = True

    def _catch(self, number: int, _frame: Any) -> None:
        global _told
        if _told and number == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C: at once
        _told = True

    def __enter__(self) -> "Run":
        if threading.current_thread() is threading.main_thread():  # others may not
            self._before = [(number, signal.signal(number, self._catch)) for number in self._signals]
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        try:
            if kind is not None and not issubclass(kind, Interrupted):
                return False  # a failure: the state may be half changed, so it is not saved
            if self._save is not None:
                self._save()
            if kind is None and (self._done or not stopping()):
                return False  # the agent commits the directory when the program has ended
        finally:
            for number, before in self._before:
                signal.signal(number, before if before is not None else signal.SIG_DFL)
        # The agent commits the directory when it sees this code.
        print("spotrelay: interrupted, saved, to be run again", file=sys.stderr, flush=True)
        sys.exit(EXIT_SAVED)


def run(save: Optional[Callable[[], Any]] = None, signals: Iterable[int] = (signal.SIGTERM, signal.SIGINT)) -> Run:
    """A block that can be interrupted: with spotrelay.run(save_state) as r: ...

    Within it the signals do not end the program but make stopping() true; the
    program looks now and then (r.check(), r.steps(...), r.stopping) where its
    state is whole. At the block's end save is called, which writes the state
    into checkpoint_dir(). Then, where it was interrupted, the program exits
    with 75, and else goes on after the block; the agent commits the directory
    when a program ends with 75 or 0. A block that ends by itself after a
    notice counts as interrupted (it may have broken off), unless r.done() was
    called. After an exception nothing is saved. Name the task's signal where
    the job file has another one than SIGTERM.
    """
    return Run(save, signals)


# ---------------------------------------------------------------- adapters
#
# Thin, and each imports its framework when it is called.


def _framework(name: str, *others: str) -> Any:
    import importlib

    for candidate in (name, *others):
        try:
            return importlib.import_module(candidate)
        except ModuleNotFoundError as error:
            if error.name is None or not (candidate == error.name or candidate.startswith(error.name + ".")):
                raise  # it is there and lacks something of its own
    raise SpotrelayError(f"{name} is not installed", f"pip install {name.split('.')[0]}")


def torch_save(state: Dict[str, Any], name: str = "state.pt", sync: bool = False) -> Optional[Checkpoint]:
    """PyTorch: writes a state (model.state_dict(), optimizer.state_dict(), the
    epoch, ...) whole, and commits it."""
    with atomic_path(name) as temporary:
        _framework("torch").save(state, str(temporary))
    return save(sync=sync)


def torch_load(name: str = "state.pt", map_location: Any = "cpu", **options: Any) -> Optional[Dict[str, Any]]:
    """PyTorch: what torch_save wrote, or None on a fresh start."""
    found = restore()
    if found is None or not (found / name).exists():
        return None
    return _framework("torch").load(str(found / name), map_location=map_location, **options)


def lightning_callback(every_n_epochs: int = 1, name: str = "last.ckpt") -> Any:
    """Lightning: a Callback that saves at the end of epochs and, on a notice,
    after the batch at hand. Give trainer.fit ckpt_path=lightning_checkpoint()
    and call it within run(): after a notice fit returns and the program exits
    with 75."""
    module = _framework("lightning.pytorch", "pytorch_lightning")

    class SpotrelayCallback(module.Callback):  # type: ignore[misc, name-defined]
        def _keep(self, trainer: Any, sync: bool) -> None:
            # Every process takes part in it; the first one writes.
            whole = checkpoint_dir() / name
            temporary = whole.with_name(".new-" + name)
            trainer.save_checkpoint(str(temporary))
            if trainer.is_global_zero:
                os.replace(str(temporary), str(whole))
                save(sync=sync)

        def on_train_batch_end(self, trainer: Any, *_args: Any, **_kwargs: Any) -> None:
            if stopping() and not trainer.should_stop:
                trainer.should_stop = True
                self._keep(trainer, True)

        def on_train_epoch_end(self, trainer: Any, *_args: Any) -> None:
            if not stopping() and (trainer.current_epoch + 1) % every_n_epochs == 0:
                self._keep(trainer, False)

    return SpotrelayCallback()


def lightning_checkpoint(name: str = "last.ckpt") -> Optional[str]:
    """Lightning: what to give trainer.fit as ckpt_path; None on a fresh start."""
    found = restore()
    return str(found / name) if found is not None and (found / name).exists() else None


def _keras() -> Any:
    return _framework("keras", "tensorflow.keras")


def keras_callback(every_n_epochs: int = 1) -> Any:
    """Keras: a Callback that saves the model at the end of epochs and, on a
    notice, ends the training after the batch at hand; the epoch at hand is
    then done again. Call fit within run()."""

    class SpotrelayCallback(_keras().callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if stopping():
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if self.model.stop_training and stopping() or (epoch + 1) % every_n_epochs:
                return
            # The epoch is in the name, so that one rename replaces both.
            whole = f"model-{epoch + 1:06d}.keras"
            with atomic_path(whole) as temporary:
                self.model.save(str(temporary))
            for old in checkpoint_dir().glob("model-*.keras"):
                if old.name != whole:
                    old.unlink()
            save(sync=False)

    return SpotrelayCallback()


class KerasState(NamedTuple):
    """A model and how many epochs it has been trained: fit's initial_epoch."""

    model: Any
    epoch: int


def keras_restore() -> Optional[KerasState]:
    """Keras: the newest model that was saved, or None on a fresh start."""
    found = restore()
    models = sorted(found.glob("model-*.keras")) if found is not None else []
    if not models:
        return None
    return KerasState(_keras().models.load_model(str(models[-1])), int(models[-1].stem.split("-")[1]))


def huggingface_callback() -> Any:
    """Hugging Face Trainer: a TrainerCallback that commits what the Trainer
    saves and, on a notice, has it save and stop after the step at hand. The
    Trainer's output_dir is checkpoint_dir(); call train within run() with
    resume_from_checkpoint=huggingface_checkpoint()."""

    class SpotrelayCallback(_framework("transformers").TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_end(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> Any:
            if stopping():
                control.should_save = True
                control.should_training_stop = True
            return control

        def on_save(self, args: Any, state: Any, control: Any, **_kwargs: Any) -> Any:
            if state.is_world_process_zero:
                save(sync=stopping())
            return control

    return SpotrelayCallback()


def huggingface_checkpoint() -> Optional[str]:
    """Hugging Face Trainer: the newest checkpoint that is complete; None on a
    fresh start."""
    found = restore()
    steps: Dict[int, Path] = {}
    for folder in found.glob("checkpoint-*") if found is not None else ():
        number = folder.name.split("-", 1)[1]
        if number.isdigit() and (folder / "trainer_state.json").exists():  # it is written last
            steps[int(number)] = folder
    return str(steps[max(steps)]) if steps else None
