"""python3 -m unittest discover examples/train-python"""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import spotrelay  # noqa: E402
import train  # noqa: E402


class Interrupted(unittest.TestCase):
    def attempt(self, folder, at):
        """Trains, interrupted at the check with that number, and is the exit code."""
        checks = iter(range(1, 1000))
        world = {"SPOTRELAY_CHECKPOINT_DIR": folder + "/ckpt", "SPOTRELAY_OUTPUT_DIR": folder + "/out"}
        with mock.patch.dict(os.environ, world), mock.patch.object(sys, "argv", ["train.py", "--epochs", "3", "--points", "100"]), \
                mock.patch.object(spotrelay, "stopping", lambda: next(checks) == at), \
                contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                train.main()
            except SystemExit as ended:
                return ended.code
        return 0

    def test_anywhere(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.attempt(folder, 0), 0)
            want = Path(folder, "out", "metric.json").read_text()
        for at in range(1, 16):  # 3 epochs of 5 steps
            with self.subTest(at), tempfile.TemporaryDirectory() as folder:
                self.assertEqual(self.attempt(folder, at), spotrelay.EXIT_SAVED)
                self.assertEqual(self.attempt(folder, 0), 0)
                self.assertEqual(Path(folder, "out", "metric.json").read_text(), want)


if __name__ == "__main__":
    unittest.main()
