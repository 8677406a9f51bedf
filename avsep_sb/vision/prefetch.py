"""Lets the decoder run ahead in a thread of its own.

Decoding and face finding then share two cores; the queue between them holds a
few frames, so that memory stays bounded.

Authors
 * avsep_sb contributors
"""

import queue
import threading

#: frames that may wait
DEPTH = 4
_END = object()


def run_ahead(items, depth=DEPTH):
    """Draws items in a thread, a few ahead of the one who uses them.

    Arguments
    ---------
    items : iterable
        Such as :func:`avsep_sb.vision.decode.read_frames`; used by one
        thread alone.
    depth : int
        How many items may wait.

    Yields
    ------
    object
        The items in their order; an error of the thread is raised here.

    Example
    -------
    >>> list(run_ahead(range(5)))
    [0, 1, 2, 3, 4]
    """
    waiting = queue.Queue(depth)
    stop = threading.Event()

    def put(item, error=None):
        while not stop.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def draw():
        source = iter(items)
        try:
            for item in source:
                if not put(item):
                    break
            put(_END)
        except BaseException as err:  # handed over, whatever it is
            put(_END, err)
        finally:
            # Closes the file of a generator that was not read to its end.
            getattr(source, "close", lambda: None)()

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()
