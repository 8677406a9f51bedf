"""Pretrained separation: a mixture and faces in, one voice per face out.

Authors
 * avsep_sb contributors
"""

import math
from pathlib import Path

import torch
from speechbrain.dataio import audio_io

from avsep_sb.errors import DataError
from avsep_sb.inference.lips import SLACK_FRAMES, load_lips
from avsep_sb.inference.pretrained import PretrainedFolder
from avsep_sb.inference.voices import save_voices


class AVSeparation(PretrainedFolder):
    """Ready-to-use separator: ``AVSeparation.from_hparams(folder)``.

    Arguments
    ---------
    *args, **kwargs
        Those of :class:`speechbrain.inference.interfaces.Pretrained`.

    Example
    -------
    >>> AVSeparation.from_hparams("no/such/folder")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: 'no/such/folder' is not a folder with a...
    """

    HPARAMS_NEEDED = ["sample_rate", "video_fps", "num_spks"]
    MODULES_NEEDED = ["separator"]

    @property
    def sees(self):
        """bool: whether the model needs the mouths of the speakers."""
        return "visual_frontend" in self.mods

    def separate_batch(
        self, mix, lips=None, wav_lens=None, lips_mask=None, consistent=None
    ):
        """Separates mixtures.

        Arguments
        ---------
        mix : torch.Tensor
            Mixtures at the model's rate, ``[B, T]``.
        lips : torch.Tensor
            Mouth ROI of each face, ``[B, S, Tv, H, W]`` uint8 at the model's
            frame rate (25 per second); None for an audio-only model.
        wav_lens : torch.Tensor
            Relative lengths ``[B]``; what lies beyond is zero in the result.
        lips_mask : torch.Tensor
            ``[B, S, Tv]`` bool, False where a face is missing: what is seen
            there does not count. Let
            :func:`avsep_sb.dataio.lips.hold_missing` fill such frames, as in
            training. None where no frame is missing.
        consistent : bool
            Whether the voices must add up to the mixture, which is right
            where every voice has a face and there is no noise
            (:class:`avsep_sb.lobes.mixture_consistency.MixtureConsistency`).
            None does it if the model was trained so.

        Returns
        -------
        torch.Tensor
            Sources ``[B, T, S]`` float32 in the order of the faces, on the
            scale that training gave them: that of the mixture, or any one
            after SI-SNR. ``DataError`` tells of NaN, of faces that a
            model needs, and of audio and video of different durations.
        """
        mix = self._check_mix(mix)
        length = mix.shape[1]
        with torch.no_grad(), self.inference_ctx:
            visual, masked = None, {}
            if self.sees:
                roi = self._check_lips(lips, mix)
                visual = self.mods.visual_frontend(roi.to(self.device))
                if lips_mask is not None:
                    seen = _check_mask(lips_mask, lips, roi.shape[2])
                    masked["visual_mask"] = seen.to(self.device)
            sources = self.mods.separator(
                mix.to(self.device), visual, **masked
            ).float()
            if consistent is None:
                consistent = "mixture_consistency" in self.mods
            if consistent and sources.shape[-1] > 1:
                sources = self._consistency()(sources, mix.to(self.device))
        # A bias in the model may make a hum out of digital silence.
        sounds = (mix != 0).any(1).to(self.device)
        sources = torch.where(sounds[:, None, None], sources, 0.0)
        if wav_lens is not None:
            stops = (wav_lens.to(self.device) * length).round()
            inside = torch.arange(length, device=self.device) < stops[:, None]
            sources = torch.where(inside.unsqueeze(-1), sources, 0.0)
        return sources

    def forward(self, mix, lips=None, wav_lens=None, lips_mask=None):
        """The same as :meth:`separate_batch`."""
        return self.separate_batch(mix, lips, wav_lens, lips_mask)

    def _consistency(self):
        """The model's own, or the default one."""
        if "mixture_consistency" in self.mods:
            return self.mods.mixture_consistency
        from avsep_sb.lobes.mixture_consistency import MixtureConsistency

        return MixtureConsistency().to(self.device)

    def separate_file(self, path, lips=None, savedir=None):
        """Separates one audio file.

        Arguments
        ---------
        path : str or Path
            Audio of any rate and number of channels; channels are averaged.
        lips : list
            One per face: a ``.npz``/``.npy`` path, or an array
            ``[Tv, H, W]`` uint8; None for an audio-only model.
        savedir : str or Path
            Where to keep a file fetched from elsewhere; not needed for a
            path on disk.

        Returns
        -------
        torch.Tensor
            Sources ``[1, T, S]`` at the model's rate, never normalised.
        """
        mix = self.load_mixture(path, savedir)
        rois = None
        if lips is not None:
            rois = load_lips(lips, self.hparams.video_fps)
            rois = torch.from_numpy(rois).unsqueeze(0)
        return self.separate_batch(mix.unsqueeze(0), rois)

    def load_mixture(self, path, savedir=None):
        """Reads audio as the model wants it.

        Arguments
        ---------
        path : str or Path
            Audio file.
        savedir : str or Path
            As in :meth:`separate_file`.

        Returns
        -------
        torch.Tensor
            Mono at the model's rate, ``[T]``.
        """
        if not Path(path).is_file():
            if savedir is not None or "://" in str(path):
                return self.load_audio(str(path), savedir=savedir)
            raise DataError(
                f"The audio file '{path}' does not exist; check the path."
            )
        try:
            signal, rate = audio_io.load(str(path), channels_first=False)
        except (RuntimeError, OSError, ValueError) as err:
            raise DataError(
                f"'{path}' cannot be read as audio; convert it to wav or flac."
            ) from err
        if signal.numel() == 0:
            raise DataError(f"'{path}' holds no audio.")
        # Averaged first, so that only one channel is resampled.
        mono = signal.float().mean(-1, keepdim=True)
        return self.audio_normalizer(mono.to(self.device), rate)

    def separate_video(self, path, folder=None, audio_model=None, **options):
        """Separates the voices of the faces in a video of any length.

        Arguments
        ---------
        path : str or Path
            The video; faces may come and go.
        folder : str, Path or None
            Where the result is kept, see
            :mod:`avsep_sb.inference.video_files`; None takes a temporary
            folder, deleted with the result.
        audio_model : AVSeparation or None
            An audio-only model for moments without lips.
        **options
            Those of :func:`avsep_sb.inference.video.separate_video` and
            :class:`avsep_sb.inference.video_options.VideoOptions`.

        Returns
        -------
        VideoResult
            The voices lie on disk, on the clock of the video: ``wavs``,
            ``blocks()``, ``voice(0)``, ``sources`` [T, S] and ``table``.
        """
        from avsep_sb.inference.video import separate_video

        return separate_video(self, path, folder, audio_model, **options)

    def transcribe_video(self, path, asr, folder=None, **options):
        """Separates a video and writes what each face says.

        Arguments
        ---------
        path : str or Path
            The video.
        asr : EncoderASR, EncoderDecoderASR, WhisperASR or StreamingASR
            A recogniser, such as
            :func:`avsep_sb.inference.asr_load.load_asr` gives.
        folder : str, Path or None
            Where voices and transcript are kept; None takes a temporary
            folder, deleted with the result.
        **options
            ``names``, ``longest`` and the others of
            :func:`avsep_sb.inference.transcribe.transcribe_video`, and those
            of :meth:`separate_video`.

        Returns
        -------
        Transcript
            Its ``segments``, ``texts`` and ``text``; see
            :mod:`avsep_sb.inference.transcript`.
        """
        from avsep_sb.inference.transcribe import transcribe_video

        return transcribe_video(self, path, asr, folder, **options)

    def save_sources(self, sources, out_dir, stem="source", overwrite=False):
        """Writes each source as a wav; see :func:`save_voices`."""
        return save_voices(
            sources, out_dir, stem, self.hparams.sample_rate, overwrite
        )

    def _check_mix(self, mix):
        mix = torch.as_tensor(mix)
        if mix.ndim != 2 or mix.shape[1] == 0:
            raise DataError(
                f"A batch of mixtures is [B, T], not {list(mix.shape)}; add "
                "the missing dimension or average the channels."
            )
        mix = mix.float()
        if not torch.isfinite(mix).all():
            raise DataError(
                "The mixture holds NaN or infinite samples; repair the audio."
            )
        return mix

    def _check_lips(self, lips, mix):
        if lips is None:
            raise DataError(
                "This model needs the mouths of the speakers: give lips "
                "[B, S, Tv, H, W], or load an audio-only model."
            )
        lips = torch.as_tensor(lips)
        if lips.ndim != 5 or len(lips) != len(mix) or 0 in lips.shape:
            raise DataError(
                f"Mouth ROIs are [B, S, Tv, H, W] with B = {len(mix)}, not "
                f"{list(lips.shape)}."
            )
        if lips.is_floating_point() and not torch.isfinite(lips).all():
            raise DataError(
                "The mouth ROIs hold NaN or infinite values; extract them "
                "again."
            )
        rate, fps = self.hparams.sample_rate, self.hparams.video_fps
        frames, seconds = lips.shape[2], mix.shape[1] / rate
        if abs(frames - seconds * fps) > SLACK_FRAMES:
            raise DataError(
                f"The audio lasts {seconds:.2f} s but the mouth ROIs are "
                f"{frames} frames, {frames / fps:.2f} s at {fps} per second; "
                "cut both to the same time or convert the frame rate."
            )
        wanted = max(1, math.ceil(mix.shape[1] * fps / rate))
        if frames < wanted:
            last = lips[:, :, -1:].expand(-1, -1, wanted - frames, -1, -1)
            lips = torch.cat([lips, last], 2)
        return lips[:, :, :wanted]


def _check_mask(lips_mask, lips, frames):
    """The mask, cut or continued as the lips were."""
    seen = torch.as_tensor(lips_mask)
    if seen.shape != torch.as_tensor(lips).shape[:3]:
        raise DataError(
            f"A mask of mouth ROIs {list(torch.as_tensor(lips).shape)} is "
            f"[B, S, Tv], not {list(seen.shape)}."
        )
    last = seen[:, :, -1:].expand(-1, -1, max(0, frames - seen.shape[2]))
    return torch.cat([seen, last], 2)[:, :, :frames].bool()
