"""``avsep demo`` runs to its end with any model, and scores fairly.

Proves, with a tiny untrained model, that the generated scene goes through the
real face path and that all promised files appear; and, with a model that
knows the answer, that targets, faces and scores belong together: the order is
that of the faces, and perfect voices score high, swapped ones low.
"""

import re
from types import SimpleNamespace

import pytest
import soundfile
import torch

from avsep_sb.cli import main
from avsep_sb.commands import separate as separate_command
from avsep_sb.commands.demo import draw_utterances
from avsep_sb.inference.folder import write_pretrained_folder, yaml_object
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.lobes.light_lip import LightLipNet

pytest.importorskip("espeakng_loader")


def improvements(text):
    return [float(x) for x in re.findall(r"SI-SNRi (-?[\d.]+) dB", text)]


class Knowing:
    """Answers with the true voices, or with the other one's."""

    sees = True
    hparams = SimpleNamespace(sample_rate=16000, video_fps=25)

    def __init__(self, seed, swap):
        voices = [torch.tensor(u.audio) for u in draw_utterances(seed)]
        self.voices = voices[::-1] if swap else voices

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        out = torch.zeros(1, mix.shape[1], lips.shape[1])
        for face, voice in enumerate(self.voices):
            end = min(len(voice), mix.shape[1])
            out[0, :end, face] = voice[:end]
        return out


def test_demo_writes_all_it_promises(tmp_path, capsys):
    torch.manual_seed(0)
    size = {
        "num_av_cycles": 1,
        "num_audio_cycles": 1,
        "out_channels": 16,
        "in_channels": 32,
        "vpre_channels": 16,
        "vin_channels": 8,
        "depth": 3,
        "kernel_size": 64,
        "stride": 32,
    }
    lip_size = {"out_channels": 16}
    model = tmp_path / "model"
    write_pretrained_folder(
        model,
        IIANet(**size),
        LightLipNet(**lip_size),
        yaml_object("avsep_sb.lobes.iianet.IIANet", size),
        yaml_object("avsep_sb.lobes.light_lip.LightLipNet", lip_size),
        "# untrained\n",
    )
    out = tmp_path / "demo"
    argv = ["demo", "--out", str(out), "--source", str(model)]
    assert main(argv) == 0
    assert len(improvements(capsys.readouterr().out)) == 2
    names = {path.name for path in out.iterdir()}
    assert names == {
        *(f"face{k}.{kind}" for k in (1, 2) for kind in ("wav", "mp4", "png")),
        *("face1_mouths.png", "face2_mouths.png", "residual.wav"),
        *("target1.wav", "target2.wav", "two_speakers.mp4"),
        *("faces.json", "faces.rttm", "overview.png", "spectrogram.png"),
    }
    assert soundfile.info(out / "face1.wav").duration > 2.5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo", "model"]
    # A second run refuses, and loses nothing.
    assert main(argv) == 2
    assert {path.name for path in out.iterdir()} == names
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("swap", [False, True])
def test_true_voices_score_high_and_swapped_ones_low(
    swap, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(
        separate_command, "load_separator", lambda *_: Knowing(3, swap)
    )
    assert main(["demo", "--out", str(tmp_path / "demo"), "--seed", "3"]) == 0
    scores = improvements(capsys.readouterr().out)
    assert len(scores) == 2
    if swap:
        assert max(scores) < -10
    else:
        assert min(scores) > 30
