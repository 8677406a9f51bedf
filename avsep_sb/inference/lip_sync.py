"""A pretrained SyncNet: delays between lips and sound, and whose voice it is.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import numpy as np
import torch

from avsep_sb.errors import CheckpointError, DataError
from avsep_sb.inference.export import read_objects
from avsep_sb.inference.folder import (
    FORMAT_VERSION,
    loading_text,
    write_folder,
    yaml_object,
)
from avsep_sb.inference.pretrained import PretrainedFolder
from avsep_sb.lobes.sync_net import agreement_by_delay

HEADER = """\
# Pretrained SyncNet of avsep_sb. Load with
#   from avsep_sb.inference.lip_sync import LipSync
#   LipSync.from_hparams(source="<this folder>")
"""
CARD = """\
# {title}

A SyncNet trained with avsep_sb on {dataset}: how well a sound and a mouth go
together, at which delay. `avsep separate --sync-source <this folder>`.
"""


class LipSync(PretrainedFolder):
    """How well sounds and mouths go together: ``LipSync.from_hparams(dir)``.

    Arguments
    ---------
    *args, **kwargs
        Those of :class:`speechbrain.inference.interfaces.Pretrained`.

    Example
    -------
    >>> LipSync.from_hparams("no/such/folder")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such/folder' is not a folder with a...
    """

    HPARAMS_NEEDED = ["sample_rate", "video_fps"]
    MODULES_NEEDED = ["visual_frontend", "sync_net"]

    @torch.no_grad()
    def agreement(self, sounds, lips, max_shift=0):
        """How well each sound goes with each mouth, at each delay.

        Arguments
        ---------
        sounds : torch.Tensor
            At the model's rate, [A, T].
        lips : torch.Tensor
            Mouth ROIs, [N, Tv, H, W] uint8, of the same time as the sounds;
            what one of the two has more is left out.
        max_shift : int
            Largest delay of the lips, in frames.

        Returns
        -------
        torch.Tensor
            Mean cosine, [A, N, 2 * max_shift + 1], on the CPU. ``DataError``
            is raised for fewer than ``2 * max_shift + 1`` frames.
        """
        embedded = self._embed(sounds, lips, 2 * max_shift)
        return agreement_by_delay(*embedded, max_shift).cpu()

    @torch.no_grad()
    def by_frame(self, sounds, lips):
        """How well each sound goes with each mouth, frame by frame.

        Arguments
        ---------
        sounds, lips
            As of :meth:`agreement`.

        Returns
        -------
        torch.Tensor
            Cosines, [A, N, Tv], on the CPU.
        """
        sound, lips = self._embed(sounds, lips)
        return torch.einsum("ate,nte->ant", sound, lips).cpu()

    def delays(self, windows, max_shift):
        """Agreement of a face and its mixture, over several windows.

        Arguments
        ---------
        windows : list of (np.ndarray, np.ndarray)
            Mixture [T] and mouth ROIs uint8 [Tv, H, W] of the same time.
        max_shift : int
            Largest delay tried, in frames.

        Returns
        -------
        dict
            Delay of the lips in frames to the mean cosine; all 0 where
            nothing is heard.
        """
        total = np.zeros(2 * max_shift + 1)
        for mix, rois in windows:
            if not np.any(mix):
                continue
            sound = torch.as_tensor(np.asarray(mix, np.float32))[None]
            rois = torch.as_tensor(np.ascontiguousarray(rois))[None]
            total += self.agreement(sound, rois, max_shift)[0, 0].numpy()
        shifts = range(-max_shift, max_shift + 1)
        return dict(zip(shifts, total / max(1, len(windows)), strict=True))

    def _embed(self, sounds, lips, least=0):
        """Embeddings of sounds and lips, of more frames than the least."""
        sounds = torch.as_tensor(sounds).to(self.device)
        lips = torch.as_tensor(lips).to(self.device)
        frame = int(self.hparams.sample_rate) // int(self.hparams.video_fps)
        count = min(lips.shape[1], sounds.shape[1] // frame)
        if count <= least:
            raise DataError(
                f"Sound and lips have {count} frames in common; give more "
                f"than {least}."
            )
        visual = self.mods.visual_frontend(lips[None, :, :count])[0]
        return (
            self.mods.sync_net.embed_sound(sounds[:, : count * frame]),
            self.mods.sync_net.embed_lips(visual),
        )


def export_sync(output_folder, modules, card=None, dest=None, overwrite=True):
    """Writes a trained SyncNet as a folder that :class:`LipSync` loads.

    Arguments
    ---------
    output_folder : str or Path
        The run, with its ``hyperparams.yaml``.
    modules : torch.nn.ModuleDict
        With ``visual_frontend`` and ``sync_net``.
    card : str, optional
        Model card in Markdown; a short one is written without it.
    dest : str or Path, optional
        The folder; ``pretrained`` in the run if not given.
    overwrite : bool
        Replace a pretrained folder that is there.

    Returns
    -------
    pathlib.Path
        ``dest``. ``CheckpointError`` is raised for a folder of no such run.
    """
    run = read_objects(output_folder)
    lines = []
    for name in ("visual_frontend", "sync_net"):
        if name not in run:
            raise CheckpointError(
                f"'{output_folder}' is not the output folder of a SyncNet: "
                f"its hyperparams.yaml has no '{name}'."
            )
        target, arguments = run[name]
        if name == "visual_frontend":
            arguments = {**arguments, "frozen": True}
        lines.append(f"{name}: {yaml_object(target, arguments)}\n\n")
    text = (
        f"{HEADER}format_version: {FORMAT_VERSION}\n"
        f"sample_rate: {run['sample_rate']}\n"
        f"video_fps: {run['video_fps']}\n\n{''.join(lines)}"
        + loading_text(["visual_frontend", "sync_net"])
    )
    card = card or CARD.format(
        title=run.get("experiment_name", "syncnet"),
        dataset=run.get("dataset", "a corpus"),
    )
    weights = {
        name: getattr(modules[name], "module", modules[name])
        for name in ("visual_frontend", "sync_net")
    }
    dest = Path(dest or Path(output_folder) / "pretrained")
    return write_folder(dest, weights, text, card, overwrite)
