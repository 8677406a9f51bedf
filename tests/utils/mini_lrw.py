"""Miniature LRW, in the layout in which its parts unpack.

``lipread_mp4/<WORD>/{train,val,test}/<WORD>_00001.mp4`` (256x256 h264, mono
aac, 29 frames), beside each a text with the length of the word. The faces of
SynthAV say that word again and again.
"""

from pathlib import Path
from unittest.mock import patch

from tests.utils.mini_corpora import talking_face, write_clip

WORDS = ("ABOUT", "FAMILY")
FRAMES = 29
STEP = 8
COUNTS = {"train": 2, "val": 1, "test": 1}
TEXT = """\
Disk reference: 5536038039829982468
Channel: BBC One HD
Program start: 2015-09-13 09:00:00 +0100
Clip start: 1234.56 seconds
Duration: {seconds} seconds
"""


def make_lrw(root):
    """Eight clips of two words, each word by one speaker."""
    root = Path(root)
    for number, word in enumerate(WORDS):
        with patch(
            "avsep_sb.synth.utterance.utterance_text",
            return_value=", ".join([word.lower()] * 6),
        ):
            video, audio = talking_face(number, frames=FRAMES + 3 * STEP)
        start = 0
        for split, count in COUNTS.items():
            for k in range(1, count + 1):
                path = root / "lipread_mp4" / word / split
                path = path / f"{word}_{k:05d}.mp4"
                stop = start + FRAMES
                clip = video[start:stop], audio[640 * start : 640 * stop]
                write_clip(path, *clip, (256, 256), ("h264", "aac"), 16000, 1)
                path.with_suffix(".txt").write_text(
                    TEXT.format(seconds=0.3 + 0.1 * k)
                )
                start += STEP
    return root
