"""Separation of what is still coming in: sound and lips, piece by piece.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.inference.lip_stream import LipStream
from avsep_sb.lobes.causal_memory import Memory, Span
from avsep_sb.lobes.streaming_codec import StreamingCodec

#: video frames may be so many seconds ahead of the sound
MOST_AHEAD = 60.0


class SeparationStream:
    """One recording that comes in, and the voices that go out.

    What comes out does not depend on how the input is cut into pieces: it is
    what the separator gives of the whole. Its state does not grow.

    Arguments
    ---------
    separator : CausalIIANet
        In evaluation mode.
    visual_frontend : CausalLightLipNet
        In evaluation mode.
    faces : int
        Faces at the beginning.
    patience : float
        Seconds that the sound waits for lips which are late; then they count
        as missing, and are left out when they come.
    growing : bool
        Whether faces may be added later, which costs the work of one more.

    Example
    -------
    >>> from avsep_sb.lobes.causal_iianet import CausalIIANet
    >>> from avsep_sb.lobes.causal_lip import CausalLightLipNet
    >>> net = CausalIIANet(8, 16, 12, 4, 1, 1, depth=2).eval()
    >>> lips = CausalLightLipNet(out_channels=12).eval()
    >>> stream = SeparationStream(net, lips, faces=2)
    >>> mouths = torch.zeros(2, 10, 96, 96, dtype=torch.uint8)
    >>> stream.feed(torch.rand(6400), mouths).shape
    torch.Size([4736, 2])
    >>> stream.flush().shape
    torch.Size([1664, 2])
    """

    def __init__(
        self, separator, visual_frontend, faces=1, patience=0.08, growing=False
    ):
        if not hasattr(separator, "memories"):
            raise ConfigError(
                f"A {type(separator).__name__} needs the whole recording; "
                "streams are for causal models such as iianet-causal-synthav."
            )
        if not hasattr(visual_frontend, "look_ahead"):
            raise ConfigError(
                f"A {type(visual_frontend).__name__} needs all frames of the "
                "lips; streams are for causal front ends."
            )
        if faces < 0 or patience < 0:
            raise ConfigError("faces and patience must not be negative.")
        self.net = separator
        self.lips = LipStream(visual_frontend, faces)
        self.codec = StreamingCodec(separator.codec)
        self.hearing, self.memories = Memory(), separator.memories()
        self.extra = int(growing)
        self.patience = round(patience * separator.sample_rate)
        self.position = 0  # audio frames that were separated
        self.offered = 0  # video frames that the caller has given
        channels = separator.bottleneck.out_channels
        features = 2 * separator.codec.num_features
        self.sound = torch.zeros(1, channels, 0)
        self.spectra = torch.zeros(1, features, 0)
        self.embedded = torch.zeros(faces, visual_frontend.out_channels, 0)
        self.closed = False

    @property
    def faces(self):
        """int: voices that come out now."""
        return self.lips.faces

    @property
    def latency_samples(self):
        """int: how much later than a sample its separation comes out."""
        return self.net.latency_with_lips(self.lips.net.look_ahead)

    @property
    def given(self):
        """int: samples of each voice that have come out."""
        return self.codec.given

    @torch.no_grad()
    def feed(self, audio, frames=None, seen=None):
        """Take the next piece; give what is separated.

        Arguments
        ---------
        audio : torch.Tensor or np.ndarray
            [t] samples of the mixture, any number; 16 bits as floats in -1..1.
        frames : torch.Tensor or np.ndarray, optional
            [S, n, H, W] uint8, the next video frames of each face, any
            number: they need not be those of this sound. Left out where none
            has come.
        seen : torch.Tensor or np.ndarray, optional
            [S, n] bool, False where a face is missing.

        Returns
        -------
        torch.Tensor
            [t', S], the next samples of each voice, ``latency_samples`` late.
            ``DataError`` tells what does not fit.
        """
        audio = self._check_audio(audio)
        self._take_lips(*self._check_frames(frames, seen))
        self._hear(self.codec.encode(audio[None]), last=False)
        self._give_up(self.position + self.sound.shape[-1])
        return self._advance()

    @torch.no_grad()
    def flush(self):
        """Give the rest; the stream is over then.

        Returns
        -------
        torch.Tensor
            [t', S]: all voices are as long as the mixture then. Video frames
            that never came count as missing.
        """
        self._check_open()
        self.closed = True
        self._hear(self.codec.close(), last=True)
        frame = self.net.lip_period * self.net.codec.stride
        self._miss(-(-self.codec.samples // frame) - self.lips.count)
        self._put(self.lips.finish())
        end = self.position + self.sound.shape[-1]
        known = self.position_of_lips + self.embedded.shape[-1]
        missing = -(-end // self.net.lip_period) - known
        if missing > 0:
            shape = (*self.embedded.shape[:2], missing)
            self._put(self.embedded.new_zeros(shape))
        return self._advance(last=True)

    def add_face(self):
        """Take in a face that was not seen until now.

        Returns
        -------
        int
            Its row in ``feed``; its voice begins with what comes out next.
        """
        self._check_open()
        if not self.extra:
            raise ConfigError("Faces are added to growing streams only.")
        row = self.faces
        self._select([*range(row), row, row])
        self.lips.add_face()
        self.embedded = torch.nn.functional.pad(
            self.embedded, (0, 0, 0, 0, 0, 1)
        )
        return row

    def remove_face(self, row):
        """Let a face go; those after it move up.

        Arguments
        ---------
        row : int
            Which one.
        """
        if not 0 <= row < self.faces:
            raise ConfigError(f"There is no face {row} among {self.faces}.")
        rows = [r for r in range(self.faces + self.extra) if r != row]
        self._select(rows)
        self.embedded = self.embedded[rows[: self.faces - 1]]
        self.lips.remove_face(row)

    @property
    def num_values(self):
        """int: numbers that are held from one piece to the next."""
        memories = [
            self.hearing,
            self.codec.memory,
            self.lips.memory,
            *self.memories,
        ]
        waiting = self.sound, self.spectra, self.embedded, self.codec.waiting
        return sum(memory.num_values for memory in memories) + sum(
            tensor.numel() for tensor in waiting
        )

    @property
    def position_of_lips(self):
        """int: the video frame that is to be used next."""
        return -(-self.position // self.net.lip_period)

    def _select(self, rows):
        rows = torch.tensor(rows, dtype=torch.long)
        for memory in (*self.memories, self.codec.memory):
            memory.select(rows)

    def _hear(self, spectra, last):
        sound = self.net.listen(spectra, self.hearing, last)
        self.spectra = torch.cat([self.spectra, spectra], 2)
        self.sound = torch.cat([self.sound, sound], 2)

    def _put(self, embedded):
        self.embedded = torch.cat([self.embedded, embedded], 2)

    def _take_lips(self, frames, seen):
        # Frames that were given up are out of date.
        late = min(seen.shape[1], self.lips.count - self.offered)
        self.offered += seen.shape[1]
        seen = seen[:, late:]
        frames = None if frames is None else frames[:, late:]
        if seen.shape[1]:
            self._put(self.lips.feed(frames, seen))
        ahead = self.lips.count / self.net.video_fps
        if ahead > self.codec.samples / self.net.sample_rate + MOST_AHEAD:
            raise DataError(
                f"The video is more than {MOST_AHEAD:.0f} s ahead of the "
                "sound; feed both at the same pace."
            )

    def _miss(self, count):
        """Let video frames count as missing."""
        if count > 0:
            seen = torch.zeros(self.faces, count, dtype=torch.bool)
            self._put(self.lips.feed(None, seen))

    def _give_up(self, ready):
        """Stop waiting for lips that are too late for ``ready`` frames."""
        patient = ready - self.patience // self.net.codec.stride
        if patient > 0:
            wanted = (patient - 1) // self.net.lip_period + 1
            self._miss(wanted + self.lips.net.look_ahead - self.lips.count)

    def _advance(self, last=False):
        """Separate as many frames as sound and lips are there for."""
        period = self.net.lip_period
        known = self.position_of_lips + self.embedded.shape[2]
        stop = min(self.position + self.sound.shape[2], known * period)
        count = max(0, stop - self.position)
        span = Span(self.position, self.position + count)
        rows = self.faces + self.extra
        masked = self.spectra[:, :, :count].expand(rows, -1, -1)
        if count and rows:
            first, end = span.grid(period)
            video = self.embedded[:, :, : end - first]
            video = torch.nn.functional.pad(video, (0, 0, 0, 0, 0, self.extra))
            sound = self.sound[:, :, :count].expand(rows, -1, -1)
            mask = self.net.masks(sound, video, self.memories, span)
            spectra = self.spectra[:, :, :count]
            masked = self.net.codec.mask(spectra, mask[None])[0]
            self.embedded = self.embedded[:, :, end - first :]
        elif count:
            first, end = span.grid(period)
            self.embedded = self.embedded[:, :, end - first :]
        self.position = span.stop
        self.sound = self.sound[:, :, count:].clone()
        self.spectra = self.spectra[:, :, count:].clone()
        waves = self.codec.decode(masked, last)
        return waves[: self.faces].T

    def _check_open(self):
        if self.closed:
            raise ConfigError("This stream is over; begin another one.")

    def _check_audio(self, audio):
        self._check_open()
        audio = torch.as_tensor(audio)
        if audio.ndim != 1 or not audio.is_floating_point():
            raise DataError(
                "A piece of sound is [t] floats, not "
                f"{audio.dtype} {list(audio.shape)}; average the channels."
            )
        audio = audio.float()
        if not torch.isfinite(audio).all():
            raise DataError(
                "The sound holds NaN or infinite samples; repair the audio."
            )
        return audio

    def _check_frames(self, frames, seen):
        if frames is None:
            if seen is not None:
                raise DataError("seen tells of frames: give frames too.")
            return None, torch.zeros(self.faces, 0, dtype=torch.bool)
        frames = torch.as_tensor(frames)
        if (
            frames.ndim != 4
            or len(frames) != self.faces
            or frames.dtype != torch.uint8
        ):
            raise DataError(
                f"The mouths of {self.faces} faces are uint8 [S, n, H, W], "
                f"not {frames.dtype} {list(frames.shape)}."
            )
        if seen is None:
            return frames, torch.ones(frames.shape[:2], dtype=torch.bool)
        seen = torch.as_tensor(seen)
        if seen.shape != frames.shape[:2]:
            raise DataError(
                f"seen must be {list(frames.shape[:2])} as the frames, not "
                f"{list(seen.shape)}."
            )
        return frames, seen.bool()
