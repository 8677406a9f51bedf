"""One mixture read from its files: windows, levels, mouths.

Authors
 * avsep_sb contributors
"""

from typing import NamedTuple

import numpy as np

from avsep_sb.dataio.audio import num_samples, read_audio
from avsep_sb.dataio.draws import item_rng, row_sources
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.mouths import Mouths, Rest
from avsep_sb.dataio.noise import check_noise_length
from avsep_sb.dataio.scaling import active_rms, add_noise, mix_sources
from avsep_sb.dataio.silence import quiet_passage
from avsep_sb.dataio.windows import (
    check_durations,
    cut_audio,
    draw_window,
)

# Draws of what is wrong with the faces; see avsep_sb.dataio.draws.item_rng.
_VISUAL_STREAM = 3


class Item(NamedTuple):
    """One mixture: [T], sources [T, S], lips [Tv, S, H, W] and their mask
    [Tv, S], False where a face is missing; the last two may be None.

    ``texts`` [S] is what each source says: "" for a silent one, None for one
    that is cut, or of which the manifest does not tell."""

    mix: np.ndarray
    sources: np.ndarray
    lips: np.ndarray | None
    lips_mask: np.ndarray | None
    texts: list | None = None


class ItemReader:
    """Reads the item of a manifest row.

    Draws come from (seed, epoch, ID) in one order: partners and levels,
    windows, crops. Leaving out the lips changes no draw before them. Noise,
    silent targets and what is wrong with the faces are drawn apart from all
    of these, and from each other.

    Arguments
    ---------
    num_spks : int
        Speakers in each mixture, at most; absent ones leave no trace.
    sample_rate : int
        Hz that every audio file must have.
    video_fps : float
        Frame rate in Hz of the lips returned.
    samples_per_frame : int
        Samples in the time of one frame.
    length : int, optional
        Samples per item; None for whole utterances.
    use_lips : bool
        Whether to read mouth ROIs.
    crop_size : (int, int), optional
        Height and width of the lips returned; None for frames as stored.
    training : bool
        True for random windows of exactly ``length`` samples; False for at
        most the first ``length`` samples, never padded.
    seed : int
        Seed of the draws, in training.
    epoch : SharedEpoch, optional
        The clock of the draws; needed in training.
    mixer : Mixer, optional
        Draws mixtures in training; without it the listed ones are read,
        with the noise that they list.
    noise : NoiseFolder, optional
        Draws the noise of the mixtures.
    rooms : RirFolder, optional
        Draws the rooms around the voices.
    random_crop, horizontal_flip : bool
        Augmentations of the lips, in training.
    silence : SilentTargets, optional
        Draws silent targets and off-screen voices for ``mixer``.
    visual_augment : VisualAugment, optional
        What is wrong with the faces, in training; items then have a mask.

    embeddings : EmbeddingCache, optional
        What a front end made of the lips, read in their place: items then
        have lips [Tv, S, C]. ``crop_size`` must be None.
    to_longest : bool
        Whole utterances that are mixed freely last as long as the longest;
        by default all are cut to the shortest, as in the published lists.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmpdir") / "a.wav")
    >>> soundfile.write(path, np.full(900, 0.5), 16000)
    >>> row = dict(mix_wav="", s1_wav=path, s1_lips="", s1_gain=0.5, s1_spk="")
    >>> mix, sources, lips = ItemReader(1, use_lips=False)("a", row)
    >>> mix.shape, sources.shape, float(mix[0]), lips
    ((900,), (900, 1), 0.25, None)
    """

    def __init__(
        self,
        num_spks,
        sample_rate=16000,
        video_fps=25,
        samples_per_frame=640,
        length=None,
        use_lips=True,
        crop_size=None,
        training=False,
        seed=0,
        epoch=None,
        mixer=None,
        noise=None,
        random_crop=False,
        horizontal_flip=False,
        silence=None,
        visual_augment=None,
        rooms=None,
        embeddings=None,
        to_longest=False,
    ):
        self.num_spks = num_spks
        self.sample_rate = sample_rate
        self.video_fps = video_fps
        self.samples_per_frame = samples_per_frame
        self.length = length
        self.use_lips = use_lips
        self.training = training
        self.seed = seed
        self.epoch = epoch
        self.mixer = mixer
        self.noise = noise
        self.silence = silence
        self.rooms = rooms
        self.embeddings = embeddings
        self.to_longest = to_longest
        self.mouths = Mouths(
            video_fps, crop_size, random_crop, horizontal_flip, visual_augment
        )
        # 25 ms, over which levels are taken
        self._frame = sample_rate // 40
        # levels and pauses of whole utterances, numbers per file and worker
        self._rms, self._quiet = {}, {}

    def __call__(self, utt_id, row):
        """Reads one item without its mask; as :meth:`read`."""
        return tuple(self.read(utt_id, row)[:3])

    def read(self, utt_id, row):
        """Reads one item.

        Arguments
        ---------
        utt_id : str
            The ID of the row.
        row : dict
            Its other columns, paths resolved.

        Returns
        -------
        Item
            Mixture [T] and sources [T, S], float32, lips [Tv, S, H, W] uint8,
            Tv = ceil(T / samples per frame), and with ``visual_augment``
            their mask [Tv, S] bool. ``DataError`` names the file that is
            unusable.
        """
        rng, level_db, silence = None, None, None
        if self.mixer is not None:
            sources, level_db, rng = self.mixer.draw(utt_id)
            if self.silence is not None:
                silence = self.silence.draw(utt_id, sources)
        else:
            sources = row_sources(row, self.num_spks)
            if self.training:
                rng = item_rng(self.seed, self.epoch.get(), utt_id)
        lips = [self._lips(s) for s in sources] if self.use_lips else None
        counts = [num_samples(s.wav, self.sample_rate) for s in sources]
        if lips is not None:
            self._check(sources, counts, lips)
        if self.mixer is not None:
            windows = self._own_windows(rng, counts)
            mix, waves = self._mix(utt_id, sources, windows, level_db, silence)
        else:
            windows = self._one_window(rng, counts, row["mix_wav"])
            mix, waves = self._listed(utt_id, sources, windows, row["mix_wav"])
            if row.get("noise_wav"):
                mix = mix + self._listed_noise(row, windows[0], min(counts))
        if self.noise is not None:
            mix, waves = self._drawn_noise(utt_id, mix, waves)
        texts = self._texts(sources, counts, windows, silence)
        if lips is None:
            return Item(mix, waves, None, None, texts)
        lips, mask = self._cut_lips(
            utt_id, sources, lips, windows, rng, silence
        )
        return Item(mix, waves, lips, mask, texts)

    def _texts(self, sources, counts, windows, silence):
        """What is heard of each text: all, nothing, or one cannot tell."""
        texts = []
        for source, count, window in zip(sources, counts, windows, strict=True):
            # a frame more or less is no word
            cut = window[0] > 0 or count - window[1] > self.samples_per_frame
            # sources that were cut to a ready mixture are so in their files
            texts.append(None if cut or source.cut else source.text)
        if silence is not None and silence.silent is not None:
            texts[silence.silent] = None if silence.pause else ""
        return texts

    def _lips(self, source):
        if self.embeddings is not None:
            return self.embeddings.read(source.lips)
        return read_lips(source.lips, self.video_fps)

    def _check(self, sources, counts, lips):
        for source, count, frames in zip(sources, counts, lips, strict=True):
            check_durations(
                count,
                len(frames),
                f"{source.wav} with {source.lips}",
                video_may_be_longer=source.cut,
                samples_per_frame=self.samples_per_frame,
            )

    def _window(self, rng, count):
        length = self.length
        if length and not self.training:
            length = min(length, count)
        return draw_window(rng, count, None, length, self.samples_per_frame)

    def _own_windows(self, rng, counts):
        """Freely mixed sources: each has a window of its own."""
        if not self.length:
            length = max(counts) if self.to_longest else min(counts)
            counts = [length] * len(counts)
        return [self._window(rng, count) for count in counts]

    def _one_window(self, rng, counts, mix_wav):
        """A listed mixture: one window for all, within the shortest."""
        num_sources = len(counts)
        if mix_wav:
            counts = [*counts, num_samples(mix_wav, self.sample_rate)]
        return [self._window(rng, min(counts))] * num_sources

    def _read(self, path, window):
        start, stop = window[:2]
        wave = read_audio(path, start, stop, self.sample_rate)
        return cut_audio(wave, stop - start)

    def _voices(self, utt_id, sources, windows, silent=None, span=None):
        """Targets and what is heard of them, [T, S] each; source ``silent``
        says nothing within the ``span`` of samples, or at all."""
        rirs = [None] * len(sources)
        if self.rooms is not None:
            rirs = self.rooms.draw(utt_id, len(sources))
        pairs = [
            self._voice(source.wav, window, rir, k == silent, span)
            for k, (source, window, rir) in enumerate(
                zip(sources, windows, rirs, strict=True)
            )
        ]
        waves = np.stack([target for target, _ in pairs], axis=1)
        if not any(rirs):
            return waves, waves
        return waves, np.stack([heard for _, heard in pairs], axis=1)

    def _voice(self, path, window, rir, silent, span):
        start, stop = window[:2]
        begin, lead = start, 0
        if rir is not None:
            # what was said before the window is still heard in it
            begin, lead = max(0, start - rir.history), rir.lead
        wave = self._read(path, (begin, stop + lead))
        offset, length = start - begin, stop - start
        if silent:
            wave = wave.copy()
            first, last = span or (-offset, len(wave))
            wave[offset + first : offset + last] = 0.0
        dry = wave[offset : offset + length]
        if rir is None:
            return dry, dry
        heard, early = rir.heard(wave, offset, length)
        return (early if self.rooms.target == "early" else dry), heard

    def _listed(self, utt_id, sources, windows, mix_wav):
        """Sources times their gains; the mixture is read or their sum."""
        gains = np.array([source.gain for source in sources], np.float32)
        waves, heard = self._voices(utt_id, sources, windows)
        waves, heard = waves * gains, heard * gains
        if mix_wav:
            return self._read(mix_wav, windows[0]), waves
        return heard.sum(axis=1), waves

    def _listed_noise(self, row, window, needed):
        """The same window of the noise, which must last as the mixture."""
        path = row["noise_wav"]
        first = round(row["noise_start"] * self.sample_rate)
        count = num_samples(path, self.sample_rate)
        check_noise_length(path, count, first, needed)
        start, stop = window[:2]
        wave = self._read(path, (first + start, first + stop))
        return wave * np.float32(row["noise_gain"])

    def _mix(self, utt_id, sources, windows, level_db, silence):
        """The mixture [T] and the targets [T, S] at the levels drawn."""
        num_targets, silent, span = len(sources), None, None
        length = windows[0][1] - windows[0][0]
        if silence is not None:
            silent = silence.silent
            span = silence.span(-(-length // self.samples_per_frame))
            if span is not None:
                span = tuple(edge * self.samples_per_frame for edge in span)
        unseen = None if silence is None else silence.offscreen
        if unseen is not None:
            count = num_samples(unseen.wav, self.sample_rate)
            unit = self.samples_per_frame
            window = draw_window(silence.rng, count, None, length, unit)
            sources, windows = [*sources, unseen], [*windows, window]
            level_db = [*level_db, silence.level_db]
        waves, heard = self._voices(utt_id, sources, windows, silent, span)
        rms = [self._level(source.wav) for source in sources]
        mix, waves = mix_sources(waves, rms, level_db, heard)
        return mix, np.ascontiguousarray(waves[:, :num_targets])

    def _drawn_noise(self, utt_id, mix, waves):
        draw = self.noise.draw(utt_id, len(mix))
        if draw is None:
            return mix, waves
        wave = self._read(draw.path, (draw.start, draw.start + len(mix)))
        return add_noise(mix, waves, wave, draw.snr_db, self._frame)

    def _level(self, path):
        """Active RMS of the whole file: a window may hold a pause only."""
        if path not in self._rms:
            wave = read_audio(path, sample_rate=self.sample_rate)
            self._rms[path] = active_rms(wave, self._frame)
        return self._rms[path]

    def _cut_lips(self, utt_id, sources, lips, windows, rng, silence):
        """Lips [Tv, S, H, W] and their mask [Tv, S] or None."""
        rest, visual_rng = None, None
        if silence is not None and silence.silent is not None:
            passage = None
            if not silence.moves:
                passage = self._passage(sources[silence.silent].wav)
            span = silence.span(windows[0][3] - windows[0][2])
            rest = Rest(silence.silent, passage, silence.rng.random(), span)
        if self.mouths.augment is not None:
            visual_rng = item_rng(
                self.seed, self.epoch.get(), utt_id, _VISUAL_STREAM
            )
        spans = [window[2:] for window in windows]
        return self.mouths(utt_id, lips, spans, rng, rest, visual_rng)

    def _passage(self, path):
        """Where a recording shows a mouth at rest, in frames."""
        if path not in self._quiet:
            wave = read_audio(path, sample_rate=self.sample_rate)
            self._quiet[path] = quiet_passage(wave, self.samples_per_frame)
        return self._quiet[path]
