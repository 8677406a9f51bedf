"""Mouths that come in, to embeddings that a streaming separator can use.

Frames that are missing show the last mouth that was seen, or before any the
first one, as :func:`avsep_sb.dataio.lips.hold_missing` has it; their
embedding is 0.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F

from avsep_sb.errors import DataError
from avsep_sb.lobes.causal_memory import Memory

#: what is shown where no mouth was ever seen
GREY = 128


class LipStream:
    """The lips of all faces of a stream.

    Arguments
    ---------
    net : CausalLightLipNet
        In evaluation mode.
    faces : int
        Faces at the beginning.

    Example
    -------
    >>> from avsep_sb.lobes.causal_lip import CausalLightLipNet
    >>> lips = LipStream(CausalLightLipNet(out_channels=8).eval(), faces=2)
    >>> mouths = torch.zeros(2, 5, 96, 96, dtype=torch.uint8)
    >>> lips.feed(mouths, torch.ones(2, 5, dtype=bool)).shape
    torch.Size([2, 8, 3])
    >>> lips.finish().shape
    torch.Size([2, 8, 2])
    """

    def __init__(self, net, faces):
        self.net, self.faces = net, faces
        self.count = 0  # frames that came in
        self.size = None  # of a mouth
        self.memory = Memory()
        self.begun = [False] * faces
        #: of the frames that wait for those after them
        self.seen = torch.zeros(faces, 0, dtype=torch.bool)

    def feed(self, frames, seen):
        """Embed what is known well enough.

        Arguments
        ---------
        frames : torch.Tensor or None
            [S, n, H, W] uint8; None where no face is seen in any of them.
        seen : torch.Tensor
            [S, n] bool, False where a face is missing.

        Returns
        -------
        torch.Tensor
            [S, C, n'], embeddings, ``look_ahead`` frames late; 0 for faces
            that were missing.
        """
        count = seen.shape[1]
        if frames is not None and count:
            if self.size not in (None, frames.shape[2:]):
                raise DataError(
                    f"The mouths were {list(self.size)} pixels and are now "
                    f"{list(frames.shape[2:])}; crop them alike."
                )
            self.size = frames.shape[2:]
        new = [
            (int(seen[row].int().argmax()), row)
            for row in range(self.faces)
            if not self.begun[row] and seen[row].any()
        ]
        later = min((at for at, _ in new if at), default=None)
        if later is not None:  # faces come in at the head of a piece only
            pieces = (slice(0, later), slice(later, count))
            return torch.cat(
                [self.feed(frames[:, p], seen[:, p]) for p in pieces], 2
            )
        self.seen = torch.cat([self.seen, seen], 1)
        if not self.faces or self.size is None:
            # Nothing to look at yet: what was missed is made up for later.
            self.count += count
            return self._masked(max(0, self.seen.shape[1] - self._wait))
        self._fill()
        for _, row in new:
            self._begin(row, self._small(frames[row, :1])[0])
            self.begun[row] = True
        pictures = self._shown(frames, seen)
        self.count += count
        return self._follow(pictures)

    def finish(self):
        """Embed the last frames: nothing follows them.

        Returns
        -------
        torch.Tensor
            [S, C, n]
        """
        if not self.faces or self.size is None:
            return self._masked(self.seen.shape[1])
        self._fill()
        held = self.memory["held"]
        silence = torch.zeros_like(held).unsqueeze(2)
        return self._follow(silence.expand(-1, -1, self._wait, -1, -1))

    def add_face(self):
        """Add a row, of a face that was not seen until now."""
        if self.memory:
            self.memory.select(torch.tensor([*range(self.faces), 0]))
        self.seen = F.pad(self.seen, (0, 0, 0, 1))
        self.begun.append(False)
        self.faces += 1
        if self.memory:
            self._begin(self.faces - 1, self._grey())

    def remove_face(self, row):
        """Forget a row."""
        rows = [r for r in range(self.faces) if r != row]
        self.memory.select(torch.tensor(rows, dtype=torch.long))
        if not rows:
            self.memory.clear()
        self.seen = self.seen[rows]
        del self.begun[row]
        self.faces -= 1

    @property
    def _wait(self):
        return self.net.look_ahead

    def _masked(self, count, embedded=None):
        """Embeddings of the frames that waited longest, 0 where unseen."""
        seen, self.seen = self.seen[:, :count], self.seen[:, count:]
        if embedded is None:
            return torch.zeros(self.faces, self.net.out_channels, count)
        return embedded.masked_fill(~seen.unsqueeze(1), 0.0)

    def _shown(self, frames, seen):
        """What each face shows, held where it is missing: [S, 1, n, h, w]."""
        held = self.memory["held"]
        if frames is None:
            times = seen.shape[1]
            return held.unsqueeze(2).expand(-1, -1, times, -1, -1)
        small = self._small(frames.flatten(0, 1))
        small = small.unflatten(0, frames.shape[:2])
        choices = torch.cat([held.unsqueeze(1), small], 1)
        numbers = torch.arange(1, seen.shape[1] + 1) * seen
        chosen = numbers.cummax(1).values
        rows = torch.arange(self.faces).unsqueeze(1)
        shown = choices[rows, chosen].transpose(1, 2)
        if seen.shape[1]:
            self.memory["held"] = shown[:, :, -1]
        return shown

    def _small(self, mouths):
        """[R, H, W] to [R, 1, h, w]."""
        pictures = self.net.input(mouths[None, :, None])
        return self.net.shrink(pictures)[:, :, 0]

    def _grey(self):
        grey = torch.full((1, *self.size), GREY, dtype=torch.uint8)
        return self._small(grey)[0]

    def _fill(self):
        """Begin all rows with grey, once the size is known."""
        if self.memory:
            return
        grey = self._grey()
        memory, pictures = self._history(grey)
        self.memory.update(memory)
        self.memory["held"] = grey[None]
        self.memory["pictures"] = pictures
        self.memory.select(torch.zeros(self.faces, dtype=torch.long))

    def _begin(self, row, picture):
        """Let a row be as if it had shown this picture from the beginning."""
        memory, pictures = self._history(picture)
        memory["held"], memory["pictures"] = picture[None], pictures
        for owner, kept in memory.items():
            rows = self.memory[owner].clone()
            rows[row] = kept[0]
            self.memory[owner] = rows

    def _history(self, picture):
        """Memory and last pictures after so many frames of one picture."""
        ahead = self.net.look_ahead
        most = self.net.look_back + 2 * ahead
        times = min(self.count, most)
        past = picture[None, :, None].expand(-1, -1, times, -1, -1)
        if times == self.count:  # the beginning shows
            past = F.pad(past, (0, 0, 0, 0, ahead, 0))
        memory = Memory()
        if past.shape[2] > 2 * ahead:
            self.net.follow(past, memory)
        else:
            for block in self.net.temporal:
                length = block.depthwise.kernel_size[0] - 1
                channels = self.net.out_channels
                memory[block] = picture.new_zeros(1, channels, length)
        return memory, past[:, :, -2 * ahead :]

    def _follow(self, pictures):
        ahead = self.net.look_ahead
        joined = torch.cat([self.memory["pictures"], pictures], 2)
        self.memory["pictures"] = joined[:, :, -2 * ahead :]
        if joined.shape[2] <= 2 * ahead:
            return self._masked(0)
        embedded = self.net.follow(joined, self.memory).transpose(1, 2)
        return self._masked(embedded.shape[2], embedded)
