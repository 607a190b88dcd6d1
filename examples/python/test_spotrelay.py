"""python3 -m unittest discover examples/python"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import spotrelay  # noqa: E402


class Agent:
    """An agent's socket: it notes each request and answers by a function."""

    def __init__(self, path, answer):
        self.requests, self.answer = [], answer
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                line = connection.makefile("rb").readline()
                if not line:
                    return
                self.requests.append(json.loads(line))
                answer = self.answer(self.requests[-1])
                with contextlib.suppress(BrokenPipeError):  # who asked may have what it needs
                    for part in filter(None, (answer[:7], answer[7:])):  # lines come in pieces
                        connection.sendall(part)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:  # wakes accept
            last.connect(self.listener.getsockname())
        self.thread.join()
        self.listener.close()


def line(**answer):
    return json.dumps(answer).encode() + b"\n"


SAVED = {"key": "k", "attempt": 2, "sequence": 7, "digest": "d", "bytes": 12}


class Place(unittest.TestCase):
    """A test in a folder of its own, with no spotrelay around it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SPOTRELAY_")}
        patch = mock.patch.dict(os.environ, clean, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        spotrelay._told = False

    def within(self, answer=lambda request: line(ok=True, checkpoint=SAVED), resumed=False):
        """Sets the world of a task up."""
        os.environ.update(
            SPOTRELAY_SOCKET=str(self.dir / "s"), SPOTRELAY_CHECKPOINT_DIR=str(self.dir / "ckpt"),
            SPOTRELAY_NOTICE_FILE=str(self.dir / "notice.json"), SPOTRELAY_RESUMED="1" if resumed else "0",
        )
        agent = Agent(self.dir / "s", answer)
        self.addCleanup(agent.close)
        return agent

    def give_notice(self, **document):
        document = document or {"action": "terminate", "deadline": "2030-01-01T00:00:00Z", "seconds": 30}
        (self.dir / "notice.new").write_text(json.dumps(document))
        os.rename(str(self.dir / "notice.new"), str(self.dir / "notice.json"))


class Outside(Place):
    def test_does_nothing(self):
        self.assertFalse(spotrelay.active())
        self.assertIsNone(spotrelay.restore())
        self.assertFalse(spotrelay.resumed())
        self.assertIsNone(spotrelay.save())
        self.assertIsNone(spotrelay.status())
        self.assertIsNone(spotrelay.notice())
        self.assertFalse(spotrelay.stopping())
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_files_have_a_place(self):
        spotrelay.atomic_write("state", "x")
        self.assertEqual((self.dir / "checkpoint" / "state").read_text(), "x")
        self.assertFalse(spotrelay.resumed(), "what a laptop left must not end the next run at once")

    def test_goes_on_where_a_directory_is_named(self):
        os.environ["SPOTRELAY_CHECKPOINT_DIR"] = str(self.dir / "mine")
        self.assertFalse(spotrelay.resumed())
        spotrelay.atomic_write("state", "x")
        self.assertEqual(spotrelay.restore(), self.dir / "mine")


class Asking(Place):
    def test_save(self):
        agent = self.within()
        self.assertEqual(spotrelay.save(), spotrelay.Checkpoint(2, 7, 12, False))
        self.assertEqual(agent.requests, [{"op": "save"}])

    def test_save_unchanged(self):
        self.within(lambda _: line(ok=True, checkpoint=SAVED, unchanged=True))
        self.assertTrue(spotrelay.save().unchanged)

    def test_save_in_the_background(self):
        agent = self.within(lambda _: line(ok=True))
        self.assertIsNone(spotrelay.save(sync=False))
        self.assertEqual(agent.requests, [{"op": "save", "background": True}])

    def test_status(self):
        agent = self.within(lambda _: line(ok=True, status={"saves": 3}))
        self.assertEqual(spotrelay.status(wait=True), {"saves": 3})
        self.assertEqual(agent.requests, [{"op": "status", "wait": True}])

    def test_refusal(self):
        self.within(lambda _: line(ok=False, error="not saved", hint="try again"))
        with self.assertRaisesRegex(spotrelay.SpotrelayError, r"^not saved \(try again\)$") as caught:
            spotrelay.save()
        self.assertEqual(caught.exception.hint, "try again")

    def test_bad_answers(self):
        answers = []
        self.within(lambda _: answers.pop())
        for text, want in ((b"", "ended before it answered"), (b"{\n", "cannot be read"), (b"[]\n", "refused save")):
            with self.subTest(text):
                answers.append(text)
                with self.assertRaisesRegex(spotrelay.SpotrelayError, want):
                    spotrelay.save()

    def test_no_agent(self):
        os.environ["SPOTRELAY_SOCKET"] = str(self.dir / "gone")
        with self.assertRaisesRegex(spotrelay.SpotrelayError, "gone"):
            spotrelay.save()


class Files(Place):
    def test_restore(self):
        self.within(resumed=True)
        self.assertIsNone(spotrelay.restore(), "the earlier attempt saved nothing")
        spotrelay.checkpoint_dir().joinpath("a").write_text("x")
        self.assertEqual(spotrelay.restore(), self.dir / "ckpt")
        os.environ["SPOTRELAY_RESUMED"] = "0"  # files of the workdir are no checkpoint
        self.assertIsNone(spotrelay.restore())

    def test_no_checkpoint_block(self):
        self.within()
        del os.environ["SPOTRELAY_CHECKPOINT_DIR"]
        with self.assertRaisesRegex(spotrelay.SpotrelayError, "job file"):
            spotrelay.checkpoint_dir()

    def test_replaced_whole_or_not(self):
        path = spotrelay.atomic_write("sub/state.json", b"old")
        with self.assertRaises(ZeroDivisionError):
            with spotrelay.atomic_path("sub/state.json") as temporary:
                self.assertEqual(temporary.suffix, ".json")
                temporary.write_text("half")
                self.assertEqual(path.read_text(), "old")
                raise ZeroDivisionError
        self.assertEqual([(f.name, f.read_text()) for f in path.parent.iterdir()], [("state.json", "old")])

    def test_what_a_kill_left_is_replaced(self):
        left = spotrelay.checkpoint_dir() / ".new-state"
        left.write_text("half of the one before, and longer")
        spotrelay.atomic_write("state", "x")
        self.assertEqual([f.name for f in spotrelay.checkpoint_dir().iterdir()], ["state"])


class Notices(Place):
    def test_seconds_left(self):
        self.within()
        self.assertIsNone(spotrelay.notice())
        self.give_notice(action="terminate", deadline="2030-01-01T00:00:00Z", seconds=30)
        os.utime(str(self.dir / "notice.json"), (time.time() - 10, time.time() - 10))
        notice = spotrelay.notice()
        self.assertEqual(notice.action, "terminate")
        self.assertAlmostEqual(notice.seconds_left, 20, delta=2)
        self.assertAlmostEqual(notice.deadline.timestamp(), time.time() + 20, delta=2)
        self.assertTrue(spotrelay.stopping())

    def test_nobody_knows(self):
        self.within()
        self.give_notice(action="stop", seconds=0)
        self.assertEqual(spotrelay.notice(), spotrelay.Notice("stop", None, None))

    def test_past_its_deadline(self):
        self.within()
        self.give_notice(action="stop", seconds=0, deadline="2020-01-01T00:00:00Z")
        self.assertEqual(spotrelay.notice().seconds_left, 0)

    def test_callback(self):
        self.within()
        came = threading.Event()
        seen = []
        spotrelay.on_notice(lambda notice: (seen.append(notice.action), came.set()))
        self.give_notice()
        self.assertTrue(came.wait(20))
        self.assertEqual(seen, ["terminate"])


class Life(Place):
    def test_ends_by_itself(self):
        self.within()
        calls = []
        before = signal.getsignal(signal.SIGTERM)
        with spotrelay.run(lambda: calls.append("saved")) as r:
            self.assertEqual(list(r.steps(range(3))), [0, 1, 2])
        self.assertEqual(calls, ["saved"])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def exit_code(self, body):
        calls = []
        with self.assertRaises(SystemExit) as caught, mock.patch("sys.stderr"):
            with spotrelay.run(lambda: calls.append("saved")) as r:
                body(r)
        self.assertEqual(calls, ["saved"])
        return caught.exception.code

    def test_signal(self):
        done = []

        def body(r):
            for step in r.steps(range(5)):
                if step == 2:
                    os.kill(os.getpid(), signal.SIGTERM)
                done.append(step)  # the step at hand is finished

        self.assertEqual(self.exit_code(body), spotrelay.EXIT_SAVED)
        self.assertEqual(done, [0, 1, 2])

    def test_notice_without_signal(self):
        self.within()
        self.give_notice()
        self.assertEqual(self.exit_code(lambda r: r.check()), spotrelay.EXIT_SAVED)

    def test_broken_off_is_not_done(self):
        self.within()
        self.give_notice()
        self.assertEqual(self.exit_code(lambda r: None), spotrelay.EXIT_SAVED)

    def test_done_after_a_notice(self):
        self.within()
        self.give_notice()
        with spotrelay.run() as r:
            r.done()

    def test_failure_saves_nothing(self):
        calls = []
        with self.assertRaises(ZeroDivisionError):
            with spotrelay.run(lambda: calls.append("saved")):
                raise ZeroDivisionError
        self.assertEqual(calls, [])

    def test_a_program_of_its_own(self):
        program = (
            "import sys, spotrelay\n"
            "with spotrelay.run(lambda: spotrelay.atomic_write('state', 'whole')) as r:\n"
            "    print('ready', flush=True)\n"
            "    while True:\n"
            "        r.check()\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env={**os.environ, "PYTHONPATH": str(HERE)}) as child:
            self.assertEqual(child.stdout.readline(), b"ready\n")
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(20), 75)
        self.assertEqual((self.dir / "checkpoint" / "state").read_text(), "whole")


def module(name, **content):
    """A framework's tiny double, importable within a test."""
    made = types.ModuleType(name)
    made.__dict__.update(content)
    return made


def has(**modules):
    return mock.patch.dict(sys.modules, {name.replace("_dot_", "."): made for name, made in modules.items()})


class Adapters(Place):
    """Held to doubles of the frameworks that have just what is called."""

    def test_not_installed(self):
        with self.assertRaisesRegex(spotrelay.SpotrelayError, "pip install no_such_framework"):
            spotrelay._framework("no_such_framework.part")

    def test_what_a_framework_lacks_is_its_own(self):
        (self.dir / "brokenframework.py").write_text("import no_such_dependency\n")
        with mock.patch.object(sys, "path", [str(self.dir)] + sys.path), self.assertRaisesRegex(ModuleNotFoundError, "no_such_dependency"):
            spotrelay._framework("brokenframework")

    def test_torch(self):
        def load(path, map_location):
            return dict(json.loads(Path(path).read_text()), on=map_location)

        torch = module("torch", save=lambda state, path: Path(path).write_text(json.dumps(state)), load=load)
        agent = self.within(resumed=True)
        with has(torch=torch):
            self.assertIsNone(spotrelay.torch_load())
            spotrelay.torch_save({"epoch": 3})
            self.assertEqual(spotrelay.torch_load(), {"epoch": 3, "on": "cpu"})
        self.assertEqual(agent.requests, [{"op": "save", "background": True}])

    def test_lightning(self):
        lightning = module("lightning.pytorch", Callback=object)
        agent = self.within(resumed=True)
        trainer = types.SimpleNamespace(
            should_stop=False, current_epoch=0, is_global_zero=True,
            save_checkpoint=lambda path: Path(path).write_text("epoch %d" % trainer.current_epoch))
        with has(lightning=module("lightning"), lightning_dot_pytorch=lightning):
            callback = spotrelay.lightning_callback(every_n_epochs=2)
        self.assertIsNone(spotrelay.lightning_checkpoint())
        for trainer.current_epoch in range(2):
            callback.on_train_batch_end(trainer, None, None, None, 0)
            callback.on_train_epoch_end(trainer, None)
        self.assertEqual(agent.requests, [{"op": "save", "background": True}])
        self.assertEqual(Path(spotrelay.lightning_checkpoint()).read_text(), "epoch 1")
        self.give_notice()
        trainer.current_epoch = 5
        callback.on_train_batch_end(trainer, None, None, None, 0)
        callback.on_train_batch_end(trainer, None, None, None, 1)
        callback.on_train_epoch_end(trainer, None)
        self.assertTrue(trainer.should_stop)
        self.assertEqual(agent.requests[1:], [{"op": "save"}], "once, and before it goes on")
        self.assertEqual(Path(spotrelay.lightning_checkpoint()).read_text(), "epoch 5")

    def test_keras(self):
        callbacks = module("keras.callbacks", Callback=object)
        models = module("keras.models", load_model=lambda path: Path(path).read_text())
        agent = self.within(resumed=True)
        with has(keras=module("keras", callbacks=callbacks, models=models)):
            self.assertIsNone(spotrelay.keras_restore())
            callback = spotrelay.keras_callback()
            model = callback.model = types.SimpleNamespace(stop_training=False)
            for epoch in range(11):
                model.save = lambda path, epoch=epoch: Path(path).write_text("weights %d" % epoch)
                callback.on_train_batch_end(0)
                callback.on_epoch_end(epoch)
            self.give_notice()
            callback.on_train_batch_end(0)
            self.assertTrue(model.stop_training)
            callback.on_epoch_end(11)  # the epoch is not complete
            self.assertEqual(spotrelay.keras_restore(), ("weights 10", 11))
        self.assertEqual(len(list(spotrelay.checkpoint_dir().iterdir())), 1)
        self.assertEqual(len(agent.requests), 11)

    def test_huggingface(self):
        agent = self.within(resumed=True)
        with has(transformers=module("transformers", TrainerCallback=object)):
            callback = spotrelay.huggingface_callback()
        control = types.SimpleNamespace(should_save=False, should_training_stop=False)
        state = types.SimpleNamespace(is_world_process_zero=True)
        callback.on_step_end(None, state, control)
        self.assertFalse(control.should_save or control.should_training_stop)
        callback.on_save(None, state, control)
        self.give_notice()
        callback.on_step_end(None, state, control)
        self.assertTrue(control.should_save and control.should_training_stop)
        callback.on_save(None, state, control)
        callback.on_save(None, types.SimpleNamespace(is_world_process_zero=False), control)
        self.assertEqual(agent.requests, [{"op": "save", "background": True}, {"op": "save"}])

        self.assertIsNone(spotrelay.huggingface_checkpoint())
        for step in (9, 10, 11):
            folder = spotrelay.checkpoint_dir() / ("checkpoint-%d" % step)
            folder.mkdir()
            if step != 11:  # broken off
                (folder / "trainer_state.json").write_text("{}")
        self.assertEqual(Path(spotrelay.huggingface_checkpoint()).name, "checkpoint-10")


if __name__ == "__main__":
    unittest.main()
