"""Separators without faces, SpeechBrain's SepFormer and its like, for faces.

:class:`SoundSeparator` runs any model of SpeechBrain's
``SepformerSeparation`` interface, or an audio-only model of avsep_sb, at
another sample rate than its own. :class:`AudioOnlySeparation` deals the voices
to faces by their lips, and stands wherever an ``AVSeparation`` does.

Authors
 * avsep_sb contributors
"""

import re
from pathlib import Path
from types import SimpleNamespace

import torch
import torchaudio.functional
from speechbrain.inference.separation import SepformerSeparation

from avsep_sb.errors import CheckpointError, ConfigError, DataError
from avsep_sb.inference.face_labels import assign_to_faces, in_order
from avsep_sb.inference.label_ladder import LabelLadder
from avsep_sb.inference.lip_sync import LipSync
from avsep_sb.inference.separation import AVSeparation
from avsep_sb.inference.shipped import SYNC_MODEL, find_model


class SoundSeparator:
    """A model without faces that takes and gives sound at a rate of choice.

    Arguments
    ---------
    model : SepformerSeparation or AVSeparation
        With ``separate_batch(mix [B, T]) -> [B, T, N]`` and
        ``hparams.sample_rate``, ``hparams.num_spks``.
    sample_rate : int
        Hz, of the mixtures and the voices.
    video_fps : int
        Frames per second of the faces beside it.

    Example
    -------
    >>> class Model:
    ...     hparams = SimpleNamespace(sample_rate=8000, num_spks=2)
    ...     def separate_batch(self, mix):
    ...         return torch.stack([mix, mix], 2)
    >>> SoundSeparator(Model()).separate_batch(torch.ones(1, 999)).shape
    torch.Size([1, 999, 2])
    """

    sees = False

    def __init__(self, model, sample_rate=16000, video_fps=25):
        for name in ("sample_rate", "num_spks"):
            if not hasattr(model.hparams, name):
                raise ConfigError(
                    "The hyperparams.yaml of the separator does not tell its "
                    f"{name}; add a line '{name}: ...' to it."
                )
        self.model = model
        self.own_rate = int(model.hparams.sample_rate)
        self.device = getattr(model, "device", "cpu")
        self.hparams = SimpleNamespace(
            sample_rate=int(sample_rate),
            video_fps=int(video_fps),
            num_spks=int(model.hparams.num_spks),
        )

    @torch.no_grad()
    def separate_batch(self, mix):
        """Separates mixtures.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T] at ``hparams.sample_rate``.

        Returns
        -------
        torch.Tensor
            float32 [B, T, N], in any order, as loud as the model makes them;
            without what lies above half the model's own rate. ``DataError``
            is raised for another shape, and for NaN.
        """
        mix = torch.as_tensor(mix).float()
        if mix.ndim != 2 or mix.shape[1] == 0:
            raise DataError(
                f"A batch of mixtures is [B, T], not {list(mix.shape)}; add "
                "the missing dimension or average the channels."
            )
        if not torch.isfinite(mix).all():
            raise DataError(
                "The mixture holds NaN or infinite samples; repair the audio."
            )
        length, rate = mix.shape[1], self.hparams.sample_rate
        mix = mix.to(self.device)
        sound = torchaudio.functional.resample(mix, rate, self.own_rate)
        voices = self.model.separate_batch(sound).float()
        if self.own_rate != rate:
            voices = torchaudio.functional.resample(
                voices.transpose(1, 2).contiguous(), self.own_rate, rate
            ).transpose(1, 2)
        missing = max(0, length - voices.shape[1])
        voices = torch.nn.functional.pad(voices, (0, 0, 0, missing))
        # A bias in the model may make a hum out of digital silence.
        sounds = (mix != 0).any(1)[:, None, None]
        return torch.where(sounds, voices[:, :length], 0.0)


class AudioOnlySeparation:
    """A separator without faces whose voices are dealt to faces by their lips.

    Arguments
    ---------
    voices : SoundSeparator
        The separator, at the rates of ``sync``.
    sync : LipSync
        Tells which voice goes with which mouth.

    Example
    -------
    >>> AudioOnlySeparation.from_hparams("no/such/folder")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such/folder' is not a folder with a...
    """

    sees = True
    #: how recordings are separated window by window
    ladder_class = LabelLadder

    def __init__(self, voices, sync):
        self.voices, self.sync = voices, sync
        self.hparams, self.device = voices.hparams, voices.device

    @classmethod
    def from_hparams(cls, source, sync_source=SYNC_MODEL, run_opts=None):
        """Loads both models.

        Arguments
        ---------
        source : str or Path
            A folder or hub name for SpeechBrain's ``SepformerSeparation``, or
            the folder of an audio-only model of avsep_sb.
        sync_source : str or Path
            Folder of a SyncNet, or its name among those that ship.
        run_opts : dict, optional
            As in SpeechBrain: ``{"device": "cuda:0"}``.

        Returns
        -------
        AudioOnlySeparation
            ``AVSepError`` is raised for what cannot be loaded.
        """
        sync = LipSync.from_hparams(find_model(sync_source), run_opts=run_opts)
        model = load_sound_model(source, run_opts)
        rates = sync.hparams.sample_rate, sync.hparams.video_fps
        return cls(SoundSeparator(model, *rates), sync)

    def separate_batch(
        self, mix, lips=None, wav_lens=None, lips_mask=None, consistent=None
    ):
        """Separates mixtures, one voice for each face.

        Arguments
        ---------
        mix : torch.Tensor
            [B, T] at ``hparams.sample_rate``.
        lips : torch.Tensor
            Mouth ROIs, [B, S, Tv, H, W] uint8 at ``hparams.video_fps``.
        wav_lens : torch.Tensor
            Relative lengths [B]; what lies beyond is zero in the result.
        lips_mask : torch.Tensor
            [B, S, Tv] bool, False where lips cannot be read.
        consistent : bool
            Only None or False: voices of no face are left out, so that the
            others need not add up.

        Returns
        -------
        torch.Tensor
            [B, T, S] in the order of the faces; zero for those for which no
            voice is left.
        """
        if consistent:
            raise ConfigError(
                "Voices of a separator without faces are not made to add up; "
                "leave consistent out."
            )
        voices, labels = self.label_batch(mix, lips, wav_lens, lips_mask)
        pairs = zip(voices, labels, strict=True)
        return torch.stack([in_order(own, found) for own, found in pairs])

    def label_batch(self, mix, lips, wav_lens=None, lips_mask=None):
        """Separates mixtures, and finds whose voices these are.

        Arguments
        ---------
        mix, lips, wav_lens, lips_mask
            As of :meth:`separate_batch`.

        Returns
        -------
        (torch.Tensor, list of FaceLabels)
            The voices [B, T, N] in the order of the separator, and whose they
            are in each mixture.
        """
        if lips is None:
            raise DataError(
                "Faces are needed to tell whose voice it is: give lips "
                "[B, S, Tv, H, W], or call .voices.separate_batch(mix)."
            )
        lips = torch.as_tensor(lips)
        voices = self.voices.separate_batch(mix)
        if lips.ndim != 5 or len(lips) != len(voices):
            raise DataError(
                f"Mouth ROIs are [B, S, Tv, H, W] with B = {len(voices)}, not "
                f"{list(lips.shape)}."
            )
        labels = []
        for number, own in enumerate(voices):
            stop = len(own)
            if wav_lens is not None:
                stop = round(float(wav_lens[number]) * stop)
                own[stop:] = 0.0
            mask = None if lips_mask is None else lips_mask[number].cpu()
            labels.append(
                assign_to_faces(own[:stop], lips[number], self.sync, mask)
            )
        return voices, labels

    def separate_video(self, path, folder=None, **options):
        """Separates the voices of the faces in a video of any length.

        Arguments
        ---------
        path, folder
            As of ``AVSeparation.separate_video``.
        **options
            Those of :func:`avsep_sb.inference.video.separate_video`.

        Returns
        -------
        VideoResult
        """
        from avsep_sb.inference.video import separate_video

        return separate_video(self, path, folder, self.voices, **options)


def load_sound_model(source, run_opts=None):
    """Loads a separator without faces, ours or SpeechBrain's.

    Arguments
    ---------
    source : str or Path
        A folder, or a name on a hub.
    run_opts : dict, optional
        Such as ``{"device": "cuda:0"}``.

    Returns
    -------
    AVSeparation or SepformerSeparation
        ``CheckpointError`` is raised for what cannot be loaded,
        ``ConfigError`` for a model that needs faces.
    """
    source = str(source)
    yaml = Path(source) / "hyperparams.yaml"
    if yaml.is_file():
        text = yaml.read_text(encoding="utf-8")
        if re.search(r"^separator:", text, re.MULTILINE):
            model = AVSeparation.from_hparams(source, run_opts=run_opts)
            if model.sees:
                raise ConfigError(
                    f"'{source}' sees faces itself: its voices need no "
                    "labels; leave --label-by-lips out."
                )
            return model
    elif Path(source).exists() or source.count("/") != 1 or source[0] in "./~":
        raise CheckpointError(
            f"'{source}' is not a folder with a hyperparams.yaml; give one "
            "of SpeechBrain's SepformerSeparation, or its name on a hub."
        )
    try:
        return SepformerSeparation.from_hparams(source, run_opts=run_opts)
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise CheckpointError(
            f"'{source}' cannot be loaded by SpeechBrain's "
            f"SepformerSeparation ({reason}); check the folder or the name."
        ) from err
