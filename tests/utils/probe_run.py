"""Runs a recipe script, and dies or tells the weights where asked.

    python probe_run.py SCRIPT ARGS...

``AVSEP_TEST_DIE_AT=EPOCH:STEP`` kills the process with SIGKILL after that
step; ``AVSEP_TEST_WEIGHTS=DIR`` writes the SHA-256 of the separator after
each validation to ``DIR/rank<R>.txt``.
"""

import hashlib
import os
import runpy
import signal
import sys
from pathlib import Path

from speechbrain.core import Stage

from avsep_sb.brain import AVSeparationBrain


def fingerprint(module):
    """SHA-256 over all parameters and buffers."""
    digest = hashlib.sha256()
    for _, tensor in sorted(module.state_dict().items()):
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


class Probe(AVSeparationBrain):
    """The Brain, watched."""

    def update_average(self, loss, avg_loss):
        die = os.environ.get("AVSEP_TEST_DIE_AT")
        if die == f"{self.epoch}:{self.step}":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().update_average(loss, avg_loss)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        super().on_stage_end(stage, stage_loss, epoch)
        folder = os.environ.get("AVSEP_TEST_WEIGHTS")
        if folder and stage == Stage.VALID:
            rank = os.environ.get("RANK", "0")
            separator = self.modules.separator
            separator = getattr(separator, "module", separator)
            Path(folder, f"rank{rank}.txt").write_text(fingerprint(separator))


if __name__ == "__main__":
    import avsep_sb.experiment

    avsep_sb.experiment.AVSeparationBrain = Probe
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")
