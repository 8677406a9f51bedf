"""Proves that --compile changes no loss and compiles a cycle once.

And that ``--jit`` is refused in words.
"""

import functools

import pytest
import torch
from speechbrain.core import Stage
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer
from torch._dynamo.utils import counters

from avsep_sb.brain import AVSeparationBrain
from avsep_sb.errors import ConfigError
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN
from avsep_sb.lobes.iianet import IIANet
from tests.utils.toy_model import SEPARATOR

SPF = 640


class Frozen(torch.nn.Module):
    """A front end of the means of pictures."""

    def forward(self, roi):
        return roi.float().mean((-2, -1))[..., None].expand(-1, -1, -1, 6)


def batch_of(frames):
    """A mixture with two faces."""
    torch.manual_seed(1)
    sources = 0.1 * torch.randn(frames * SPF, 2)
    lips = torch.randint(0, 256, (frames, 2, 8, 8), dtype=torch.uint8)
    mix = sources.sum(1)
    item = {"id": "a", "mix_sig": mix, "sources": sources, "lips": lips}
    return PaddedBatch([item])


def separator(kind, cycles):
    """A tiny separator that goes round a few times."""
    sizes = {
        "embedding_dim": 6,
        "bottleneck_channels": 4,
        "audio_channels": 8,
        "video_channels": 6,
        "num_filters": 10,
        "depth": 2,
    }
    if kind == "bin":
        tokens = {"fusion_channels": 3, "token_length": 1}
        return BIN(num_iterations=cycles, **tokens, **sizes)
    if kind == "avlit":
        return AVLiT(audio_blocks=cycles, video_blocks=cycles, **sizes)
    return IIANet(
        **{
            **SEPARATOR,
            "num_av_cycles": cycles,
            "num_audio_cycles": cycles,
        }
    )


def brain_of(folder, kind="iianet", cycles=2, **run_opts):
    torch.manual_seed(0)
    net = separator(kind, cycles)
    brain = AVSeparationBrain(
        modules={"visual_frontend": Frozen(), "separator": net},
        opt_class=functools.partial(torch.optim.Adam, lr=1e-2),
        hparams={"loss": squares, "loss_threshold": None, "seed": 1},
        run_opts={"device": "cpu", **run_opts},
        checkpointer=Checkpointer(folder),
    )
    brain.on_stage_start(Stage.TRAIN, 1)
    return brain


def squares(estimate, target, lengths):
    """Losses [B], and the estimate."""
    return (estimate - target).square().mean((1, 2)), estimate


def train(brain, batch, steps=2):
    """Losses of steps on one batch."""
    brain.on_fit_start()
    brain.modules.train()
    losses = []
    for brain.step in range(1, steps + 1):
        brain.on_fit_batch_start(batch, True)
        losses.append(float(brain.fit_batch(batch)))
    return losses


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without its C++, which takes a compiler and minutes."""
    monkeypatch.setenv("CXX", "true")
    compile_ = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", compile_)
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


# Beside the front end: IIANet's cycle with lips, the last of these, its cycle
# without; the first iteration of either branch (its features lie otherwise in
# memory), and the later ones.
@pytest.mark.parametrize(
    ("kind", "cycles", "graphs"),
    [("iianet", 4, 3), ("bin", 5, 4), ("avlit", 5, 4)],
)
def test_compiled_steps_are_the_same(traced, tmp_path, kind, cycles, graphs):
    """What is written out for a CPU gets out of the way of the tracer."""
    batch = batch_of(3)
    wanted = train(brain_of(tmp_path, kind, cycles), batch)
    assert wanted[1] != wanted[0]
    assert not counters["stats"]
    brain = brain_of(tmp_path, kind, cycles, compile=True)
    keys = set(brain.modules.separator.state_dict())
    assert train(brain, batch) == pytest.approx(wanted, rel=1e-4)
    assert counters["stats"]["unique_graphs"] == 1 + graphs
    assert not counters["graph_break"]
    # checkpoints of compiled and of other runs are of one kind
    assert set(brain.modules.separator.state_dict()) == keys
    # whole mixtures are not compiled, each for its length
    brain.modules.eval()
    for frames in (4, 5):
        with torch.no_grad():
            brain.compute_forward(batch_of(frames), Stage.VALID)
    assert counters["stats"]["unique_graphs"] == 1 + graphs


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="'no-such-compiler' is not there"):
        brain_of(tmp_path, compile=True).on_fit_start()


def test_jit_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--jit: .*variable number"):
        brain_of(tmp_path, jit=True).on_fit_start()
