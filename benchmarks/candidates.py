"""Models that are named by a training YAML and its options.

A candidate is a command line as ``train.py`` takes it, in quotes if it has
options: ``hparams/bin.yaml`` or ``"hparams/bin.yaml --num_iterations 12"``.
Its weights are random: they change no cost.

Authors
 * avsep_sb contributors
"""

import shlex
from pathlib import Path

import torch
from training_step import random_batch, random_mouths, training_step

from avsep_sb.errors import ConfigError
from avsep_sb.experiment import load_experiment
from avsep_sb.lobes.bin import BIN
from avsep_sb.macs import count_macs
from avsep_sb.summary import ROI_SIZE, count_parameters

RECIPE = Path(__file__).parents[1] / "recipes" / "SynthAV" / "train.py"
TASKS = ("training step", "inference", "front end")


class Candidate:
    """The modules of a YAML, and inputs of one mixture for them.

    Arguments
    ---------
    text : str
        The command line.
    seconds : float
        Length of the mixture.
    faces : int
        Faces in it.

    Example
    -------
    >>> Candidate("hparams/bin.yaml --num_iterations 12", 2.0, 2).name
    'bin num_iterations=12'
    """

    def __init__(self, text, seconds, faces):
        path, *options = shlex.split(text) or [""]
        # Settings that a recipe or a run would add; nothing is written.
        run = ["--data_folder=none", "--checkpointer=null"]
        self.hparams, *_ = load_experiment(
            [path, *options, *run], "SynthAV", RECIPE
        )
        words = " ".join(options).replace("--", "").replace("=", " ").split()
        pairs = zip(words[::2], words[1::2], strict=False)
        self.name = " ".join(
            [Path(path).stem, *(f"{key}={value}" for key, value in pairs)]
        )
        self.separator = self.hparams.get("separator")
        if not isinstance(self.separator, torch.nn.Module):
            raise ConfigError(
                f"'{path}' has no separator to measure; give the YAML of a "
                "separation model."
            )
        rate, fps = self.hparams["sample_rate"], self.hparams["video_fps"]
        self.num_samples = round(seconds * rate)
        self.faces = faces
        self.is_bin = isinstance(self.separator, BIN)
        self.frontend = self.hparams["modules"].get("visual_frontend")
        self.roi = self.visual = None
        if self.frontend is not None:
            frames = max(1, round(seconds * fps))
            height, width = self.hparams.get("crop_size") or ROI_SIZE
            self.roi = random_mouths((faces, frames, height, width))
            generator = torch.Generator().manual_seed(2)
            size = (faces, frames, self.separator.vpre_channels)
            self.visual = torch.randn(size, generator=generator)
        self.mix = random_batch(1, self.num_samples, faces).mix_sig.data
        self._step = None

    def call(self, task):
        """A function without arguments that does one of ``TASKS``.

        The first two are those of the separator, which is given embeddings;
        the third is the visual front end, which works alike in both.
        """
        return {
            "training step": self._train,
            "inference": self._infer,
            "front end": self._embed,
        }[task]

    def figures(self):
        """Parameters and MACs of the separator, then of the front end.

        Both for the inputs that are timed; (0, 0) without a front end.
        """
        visual = None if self.visual is None else self.visual[None]
        yield count_parameters(self.separator)
        yield count_macs(self.separator, self.mix, visual).ptflops
        if self.frontend is None:
            yield from (0, 0)
            return
        yield count_parameters(self.frontend)
        yield count_macs(self.frontend, self.roi[None]).ptflops

    def _train(self):
        if self._step is None:
            modules = {"separator": self.separator}
            if self.visual is not None:
                # Hands on the embeddings that the batch holds.
                modules["visual_frontend"] = torch.nn.Identity()
            batch = random_batch(1, self.num_samples, self.faces, self.visual)
            self._step = training_step(self.hparams, modules, batch)
        self.separator.train()
        self._step()

    def _infer(self):
        self.separator.eval()
        visual = None if self.visual is None else self.visual[None]
        with torch.inference_mode():
            self.separator(self.mix, visual)

    def _embed(self):
        self.frontend.eval()
        with torch.inference_mode():
            self.frontend(self.roi[None])
