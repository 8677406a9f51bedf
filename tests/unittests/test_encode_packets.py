"""Looking through the packets of a long video holds few of them at a time."""

import contextlib
import weakref
from types import SimpleNamespace

from avsep_sb.vision import encode


class Packet:
    is_keyframe, is_discard, pts, dts = True, False, 0, 0


def test_no_more_than_a_few_packets_are_held(monkeypatch):
    alive, most = weakref.WeakSet(), 0

    def packets(container, source):
        nonlocal most
        for _ in range(100):
            packet = Packet()
            alive.add(packet)
            most = max(most, len(alive))
            yield packet

    info = SimpleNamespace(video_codec="h264", rotation=0)
    monkeypatch.setattr(encode, "probe", lambda source: info)
    monkeypatch.setattr(
        encode, "open_video", lambda source: contextlib.nullcontext()
    )
    monkeypatch.setattr(encode, "_packets", packets)
    assert encode._can_copy("long.mp4")
    assert most <= 4
