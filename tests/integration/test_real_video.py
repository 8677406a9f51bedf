"""Real faces: two GRID clips side by side, from the file to the results.

Proves that both faces are found in every frame, that the crops show mouths
(they correlate with those of the clips alone), that the voices come in the
order of the faces, and that the results are complete and on one clock. The
separator is a stand-in of two lines: what is tested is the way to it and from
it.
"""

import numpy as np
import pytest
import soundfile
import torch

from avsep_sb.inference.video import separate_to_folder
from avsep_sb.inference.video_options import VideoOptions
from avsep_sb.vision.decode import read_audio, read_frames
from avsep_sb.vision.encode import write_video
from avsep_sb.vision.mouth import mouth_rois
from avsep_sb.vision.quality import Quality
from avsep_sb.vision.watch import watch
from tests.utils.stand_in_models import SharedMixture

CLIPS = ("brbk7n.mpg", "swiz3n.mpg")


class PlaceSeparator(SharedMixture):
    """Gives the left face a quarter of the mixture, the right one the rest."""

    def separate_batch(self, mix, lips, lips_mask=None, consistent=None):
        assert lips.shape[1] == 2
        return mix[:, :, None] * torch.tensor([0.25, 0.75])


@pytest.fixture(scope="module")
def clips(shared):
    paths = [shared / "media" / "grid" / name for name in CLIPS]
    if not all(path.is_file() for path in paths):
        pytest.skip("the GRID clips beside the checkout are absent")
    return paths


@pytest.fixture(scope="module")
def composite(clips, tmp_path_factory):
    """One second of both, side by side, with mixed sound."""
    frames = [
        np.concatenate(pair, axis=1)
        for pair, _ in zip(
            zip(*map(read_frames, clips), strict=False),
            range(25),
            strict=False,
        )
    ]
    audio = sum(read_audio(path)[:16000] for path in clips) / 2
    path = tmp_path_factory.mktemp("composite") / "two.mp4"
    return write_video(path, audio, 16000, frames)


@pytest.fixture(scope="module")
def timeline(composite):
    with watch(composite) as timeline:
        yield timeline


def test_both_faces_are_found_and_cropped_as_when_alone(timeline, clips):
    assert len(timeline.people) == 2
    for person in range(2):
        quality = timeline.quality(person)
        assert len(quality) == 25 and (quality != Quality.MISSING).all()
    left, right = timeline.people
    assert left.mean_x < 360 < right.mean_x
    alone = mouth_rois(clips[1], max_faces=1)[0][0]
    rois = [timeline.rois(person) for person in range(2)]
    for k in (0, 12, 20):
        same, other = (
            np.corrcoef(alone[k].ravel(), rois[face][k].ravel())[0, 1]
            for face in (1, 0)
        )
        assert same > 0.95 > other


def test_what_moves_is_in_the_middle(timeline):
    """In an aligned crop of somebody who speaks, the lips move most."""
    for person in range(2):
        motion = timeline.rois(person).astype(float).std(0)
        rows, columns = np.nonzero(motion > np.quantile(motion, 0.95))
        assert abs(np.median(rows) - 47.5) < 10
        assert abs(np.median(columns) - 47.5) < 8


def test_results_are_complete_and_in_order(composite, tmp_path):
    result = separate_to_folder(
        PlaceSeparator(), None, composite, tmp_path / "out", VideoOptions()
    )
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert sorted(p.name for p in result.folder.iterdir()) == [
        *("face1.mp4", "face1.png", "face1.wav", "face1_mouths.png"),
        *("face2.mp4", "face2.png", "face2.wav", "face2_mouths.png"),
        *("faces.json", "faces.rttm", "overview.png", "residual.wav"),
    ]
    mixture = read_audio(composite)
    for wav, video, share in zip(
        result.wavs, result.videos, (0.25, 0.75), strict=True
    ):
        voice, rate = soundfile.read(wav, dtype="float32")
        assert rate == 16000 and len(voice) == len(mixture)
        assert voice == pytest.approx(share * mixture, abs=2e-4)
        # In the video too: this voice, and at its place.
        heard = read_audio(video)[: len(voice)]
        lag = np.correlate(heard, voice[200:-200]).argmax() - 200
        assert abs(lag) <= 16
        assert sum(1 for _ in read_frames(video)) == 25
