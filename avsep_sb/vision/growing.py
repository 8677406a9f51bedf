"""Reads a file that still grows, or a pipe, as bytes without an end.

Authors
 * avsep_sb contributors
"""

import os
import select
import stat
import sys
import time

from avsep_sb.errors import VideoError

#: seconds between two looks at a file that does not grow
POLL = 0.02


class GrowingFile:
    """A file-like object for PyAV that waits for more at the end.

    It can be read on only. The end is where a pipe is closed, or where
    nothing came for ``idle`` seconds.

    Arguments
    ---------
    path : str or Path
        A file, a FIFO, or "-" for what is piped into the program.
    idle : float
        Seconds without a byte after which the recording counts as over.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.bin"
    >>> _ = path.write_bytes(b"abc")
    >>> with GrowingFile(path, idle=0.1) as file:
    ...     file.read(2), file.read(2), file.read(2)
    (b'ab', b'c', b'')
    """

    def __init__(self, path, idle=10.0):
        self.idle = idle
        self.path = os.fspath(path)
        #: bytes that were read
        self.count = 0
        self.ended = False
        if self.path == "-":
            self.handle, self.own = sys.stdin.fileno(), False
        else:
            self.handle, self.own = _open(self.path), True
        self.is_file = stat.S_ISREG(os.fstat(self.handle).st_mode)

    @property
    def name(self):
        """str: what it is called in messages."""
        return "the input" if self.path == "-" else self.path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close what was opened here."""
        if self.own:
            os.close(self.handle)
            self.own = False

    def read(self, size):
        """Give what there is, or wait for it.

        Arguments
        ---------
        size : int
            Bytes at most.

        Returns
        -------
        bytes
            None of them at the end.
        """
        if self.ended:  # decoders ask more than once
            return b""
        begin = time.monotonic()
        while True:
            left = self.idle - (time.monotonic() - begin)
            if self.is_file:
                data = os.read(self.handle, size)
                over = left <= 0
            else:
                ready = select.select([self.handle], [], [], max(0.0, left))
                data = os.read(self.handle, size) if ready[0] else b""
                # A pipe that is ready without a byte was closed, unless no
                # one has opened it for writing yet.
                over = left <= 0 or bool(ready[0] and self.count)
            if data or over:
                self.ended = not data
                self.count += len(data)
                return data
            time.sleep(min(POLL, max(0.0, left)))


def _open(path):
    try:
        # A FIFO is opened at once, whether or not someone writes to it.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as err:
        raise VideoError(
            f"{path}: there is no such file; check the path, or name - for "
            "what is piped in."
        ) from err
    except OSError as err:
        raise VideoError(
            f"{path}: cannot be read ({err.strerror}); change its permissions."
        ) from err
