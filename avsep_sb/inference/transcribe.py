"""From separated voices to a transcript with a name on every utterance.

The voices lie on disk and are read utterance by utterance, so memory does not
grow with the length of the video. Who speaks when is what the separation
wrote (:mod:`avsep_sb.inference.diarization`); what a recogniser might make of
the silence between is never asked for.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from avsep_sb import __version__
from avsep_sb.dataio.audio import read_audio
from avsep_sb.errors import DataError
from avsep_sb.inference import transcript as form
from avsep_sb.inference import video_files as files
from avsep_sb.inference.activity import FrameEnergy
from avsep_sb.inference.asr import transcribe_sources
from avsep_sb.inference.diarization import speech_of_faces
from avsep_sb.inference.utterances import (
    LONGEST_S,
    cut_utterances,
    widened,
)
from avsep_sb.inference.video_result import VideoResult
from avsep_sb.inference.wav_blocks import wav_blocks

#: seconds of sound that a recogniser is given at once
BATCH_S = 30.0


@dataclass(frozen=True)
class TranscriptOptions:
    """How voices are transcribed.

    Arguments
    ---------
    names : dict or None
        Names of faces, such as ``{"face1": "Anna"}``; the others keep theirs.
    longest : float
        Seconds that an utterance may last; a longer one is cut at a pause.
    overwrite : bool
        Whether an earlier transcript may be replaced.
    asr : str or None
        Name of the recogniser, to be kept with the result.
    weights : str or None
        What tells its weights from others, such as
        :func:`avsep_sb.inference.fingerprint.fingerprint` gives.

    Example
    -------
    >>> TranscriptOptions(names={"face1": "Anna"}).settings["names"]
    {'face1': 'Anna'}
    """

    names: dict | None = None
    longest: float = LONGEST_S
    overwrite: bool = False
    asr: str | None = None
    weights: str | None = None

    @property
    def settings(self):
        """dict: what the transcript depends on, beside the voices."""
        return {
            "names": dict(self.names or {}),
            "longest": self.longest,
            "asr": self.asr,
            "weights": self.weights,
        }


def transcribe_folder(asr, folder, options=None, out=None, progress=None):
    """Transcribes the voices of a separated video.

    Arguments
    ---------
    asr : EncoderASR, EncoderDecoderASR, WhisperASR or StreamingASR
        The recogniser, such as :func:`avsep_sb.inference.asr_load.load_asr`
        gives.
    folder : str or Path
        The folder of a separated video, see
        :mod:`avsep_sb.inference.video_files`.
    options : TranscriptOptions or None
        None takes the defaults.
    out : str, Path or None
        The folder of the transcript; None takes ``transcript`` in that of the
        video. The same transcript is kept if it is there already.
    progress : callable or None
        Called as ``progress("words", done, total)``, in seconds of speech.

    Returns
    -------
    Transcript
        ``DataError`` is raised for a folder without a separated video, and
        ``ConfigError`` for one that holds another transcript.
    """
    folder, options = Path(folder), options or TranscriptOptions()
    table = files.read_table(folder)
    if table is None or "sample_rate" not in table:
        raise DataError(
            f"'{folder}' holds no separated video; give a folder that avsep "
            "separate wrote, or the video itself."
        )
    out = folder / form.FOLDER if out is None else Path(out)
    mark = {
        "version": form.FORMAT,
        "video": table.get("video") or folder.name,
        "bytes": table.get("bytes"),
        "settings": {
            **options.settings,
            "separation": table.get("settings"),
        },
    }
    names = form.speaker_names(
        [face["name"] for face in table["faces"]], options.names
    )
    earlier = files.earlier_table(out, mark, options.overwrite, form.TABLE)
    if earlier is not None:
        return form.Transcript(out, earlier, skipped=True)
    voices = VideoResult(folder, table)
    faces, segments = _said(asr, voices, names, options, progress)
    found = {
        **mark,
        "asr": options.asr,
        "avsep_sb": __version__,
        "seconds": table["seconds"],
        "faces": faces,
        "segments": segments,
    }
    with files.all_or_nothing(out, form.TABLE) as part:
        found = form.write_files(part, found)
    return form.Transcript(out, found)


def transcribe_video(
    separator,
    path,
    asr,
    folder=None,
    names=None,
    longest=LONGEST_S,
    progress=None,
    **separation,
):
    """Separates a video and transcribes its voices.

    Arguments
    ---------
    separator : AVSeparation
        The model.
    path : str or Path
        The video.
    asr : EncoderASR, EncoderDecoderASR, WhisperASR or StreamingASR
        The recogniser.
    folder : str, Path or None
        Where voices and transcript are kept. None takes a temporary folder,
        deleted with the result.
    names, longest
        As of :class:`TranscriptOptions`.
    progress : callable or None
        Called as ``progress(stage, done, total)``.
    **separation
        Those of :func:`avsep_sb.inference.video.separate_video`; with
        ``overwrite=True`` the transcript is made again as well.

    Returns
    -------
    Transcript
    """
    result = separator.separate_video(
        path, folder, progress=progress, **separation
    )
    options = TranscriptOptions(
        names, longest, bool(separation.get("overwrite"))
    )
    transcript = transcribe_folder(
        asr, result.folder, options, progress=progress
    )
    transcript.temporary = result.temporary
    return transcript


def _said(asr, voices, names, options, progress):
    """``faces`` and ``segments`` of the table."""
    speech = _speech(voices)
    heard, segments = [], []
    for (face, speaker), wav in zip(names.items(), voices.wavs, strict=True):
        spans, energy = [tuple(span) for span in speech[face]], None
        if any(stop - start > options.longest for start, stop in spans):
            energy = _energy(wav, voices.sample_rate)
        own = cut_utterances(spans, energy, options.longest)
        for (start, stop), wide in zip(
            own, widened(own, voices.table["seconds"]), strict=True
        ):
            heard.append((wav, *wide))
            segments.append(
                {"start": start, "stop": stop, "face": face, "speaker": speaker}
            )
    for segment, text in zip(
        segments,
        _texts(asr, heard, voices.sample_rate, progress),
        strict=True,
    ):
        segment["text"] = " ".join(text.split())
    faces = []
    for face, speaker in names.items():
        said = [s["text"] for s in segments if s["face"] == face and s["text"]]
        faces.append(
            {
                "name": face,
                "speaker": speaker,
                "speech": [list(span) for span in speech[face]],
                "text": " ".join(said),
            }
        )
    segments.sort(key=lambda s: (s["start"], s["stop"]))
    return faces, segments


def _speech(voices):
    """Who speaks when: as the separation found it, or from the voices."""
    faces = voices.table["faces"]
    if all("speech" in face for face in faces):
        return {face["name"]: face["speech"] for face in faces}
    wavs = dict(zip(voices.names, voices.wavs, strict=True))
    return speech_of_faces(wavs, [voices.residual_wav])


def _energy(wav, rate):
    energy = FrameEnergy(rate)
    for block in wav_blocks([wav]):
        energy.feed(block[:, 0])
    return energy.values()


def _texts(asr, heard, rate, progress):
    """Texts of (wav, start, stop), read when their turn comes."""
    lengths = [stop - start for _, start, stop in heard]
    texts, total, done = [""] * len(heard), sum(lengths), 0.0
    for batch in _batches(lengths):
        waves = []
        for number in batch:
            wav, start, stop = heard[number]
            wave = read_audio(wav, round(start * rate), round(stop * rate))
            waves.append(torch.from_numpy(wave))
        longest = max(map(len, waves))
        sources = torch.zeros(len(waves), longest, 1)
        for row, wave in zip(sources, waves, strict=True):
            row[: len(wave), 0] = wave
        relative = torch.tensor([len(wave) / longest for wave in waves])
        found = transcribe_sources(asr, sources, rate, relative)
        for number, (text,) in zip(batch, found, strict=True):
            texts[number] = text
            done += lengths[number]
        if progress is not None:
            progress("words", done, total)
    return texts


def _batches(lengths):
    """Numbers of utterances of like length, of 30 s in all with padding."""
    batch, order = [], sorted(range(len(lengths)), key=lengths.__getitem__)
    for number in order:
        if batch and (len(batch) + 1) * lengths[number] > BATCH_S:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
