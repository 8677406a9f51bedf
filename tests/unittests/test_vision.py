"""Vision without a real face: clocks, tracks, crops and files.

Proves that sound and picture of written and read videos agree to the sample
and the frame at any frame rate, with late sound, rotation and damage; that
tracks keep their person when detections swap, vanish or are invented; that
the crop puts the mouth of a turned, scaled and moved face where the mean face
has it; and that bad files end in a sentence and leave nothing behind.
"""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from avsep_sb.errors import ConfigError, VideoError
from avsep_sb.vision import mtcnn
from avsep_sb.vision.decode import probe, read_audio, read_frames
from avsep_sb.vision.encode import write_video
from avsep_sb.vision.faces import Face, FaceDetector, _crop, find_faces
from avsep_sb.vision.mouth import (
    MEAN_FACE,
    ROI_SIZE,
    crop_mouths,
    mouth_rois,
    mouth_transforms,
)
from avsep_sb.vision.tracks import build_tracks

RATE = 16000
CLICKS = (4800, 16000, 25600)


def clicks(length=2 * RATE):
    audio = np.zeros(length, np.float32)
    audio[list(CLICKS)] = 0.9
    return audio


def grey_frames(count, shape=(96, 128, 3)):
    """Frame k has the grey value 5 k, so that frames can be told apart."""
    return [np.full(shape, 5 * k, np.uint8) for k in range(count)]


def frame_numbers(path, fps=25):
    return [round(f.mean() / 5) for f in read_frames(path, fps)]


def click_offsets(audio):
    near = 700
    return [
        int(abs(audio[c - near : c + near]).argmax()) - near for c in CLICKS
    ]


@pytest.fixture
def clip(tmp_path):
    return write_video(
        tmp_path / "clip.mp4", clicks(), RATE, frames=grey_frames(50)
    )


def write_stream(path, stamps, audio=None, audio_start=0, channels=1):
    """A lossless video whose frame k is shown from ``stamps[k]`` ms on."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        layout = "mono" if channels == 1 else "stereo"
        if audio is not None:
            sound = out.add_stream("pcm_s16le", rate=RATE, layout=layout)
        for k, stamp in enumerate(stamps):
            image = np.full((48, 64, 3), 5 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        if audio is not None:
            data = (np.atleast_2d(audio) * 32767).astype(np.int16)
            for begin in range(0, data.shape[1], 800):
                block = data[:, begin : begin + 800].T.reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(block), format="s16", layout=layout
                )
                frame.sample_rate = RATE
                frame.pts = audio_start * 16 + begin
                frame.time_base = Fraction(1, RATE)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


def test_written_sound_and_frames_come_back_in_place(clip):
    assert frame_numbers(clip) == list(range(50))
    audio = read_audio(clip)
    assert audio.dtype == np.float32
    assert click_offsets(audio) == pytest.approx([0, 0, 0], abs=16)  # 1 ms
    info = probe(clip)
    assert (info.width, info.height, info.fps) == (128, 96, 25.0)


def test_copied_picture_is_the_same_and_in_step(clip, tmp_path):
    copy = write_video(tmp_path / "copy.mp4", clicks(), RATE, source=clip)
    assert frame_numbers(copy) == list(range(50))
    assert click_offsets(read_audio(copy)) == pytest.approx([0] * 3, abs=16)
    for a, b in zip(read_frames(clip), read_frames(copy), strict=True):
        assert (a == b).all(), "the picture was encoded again"


def test_a_codec_foreign_to_mp4_is_encoded_again(tmp_path):
    source = write_stream(tmp_path / "a.mkv", range(1000, 3000, 40), clicks())
    made = write_video(tmp_path / "a.mp4", clicks(), RATE, source=source)
    assert probe(made).video_codec == "h264"
    assert frame_numbers(made) == list(range(50))


@pytest.mark.parametrize("fps", [10, 24, 29.97, 50])
def test_any_frame_rate_comes_on_the_25_fps_clock(tmp_path, fps):
    stamps = [round(1000 * k / fps) for k in range(round(fps))]
    path = write_stream(tmp_path / "v.mkv", stamps)
    numbers = frame_numbers(path)
    assert len(numbers) == 25
    for slot, number in enumerate(numbers):
        # The frame has begun, and is not over, within 10 ms of tolerance.
        assert stamps[number] <= slot * 40 + 10
        assert (stamps + [1000])[number + 1] > slot * 40 - 1


def test_varying_frame_rate_holds_the_previous_frame(tmp_path):
    path = write_stream(tmp_path / "v.mkv", [0, 33, 200, 240, 400, 440])
    assert frame_numbers(path) == [0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5]


def test_jitter_of_time_stamps_repeats_no_frame(tmp_path):
    rng = np.random.default_rng(0)
    stamps = [40 * k + int(rng.integers(0, 9)) for k in range(40)]
    stamps[0] = 0
    path = write_stream(tmp_path / "v.mkv", stamps)
    assert frame_numbers(path) == list(range(40))


@pytest.mark.parametrize("late", [-240, 0, 240])
def test_sound_that_starts_earlier_or_later_is_placed(tmp_path, late):
    path = write_stream(
        tmp_path / "v.mkv",
        range(1000, 3000, 40),
        clicks(),
        audio_start=1000 + late,
    )
    audio = read_audio(path)
    at = [c + late * 16 for c in CLICKS]
    peaks = np.flatnonzero(audio > 0.5)
    assert peaks.tolist() == pytest.approx(at, abs=16)


def test_channels_are_averaged(tmp_path):
    left = np.full(RATE, 0.8, np.float32)
    path = write_stream(
        tmp_path / "v.mkv", range(0, 1000, 40), [left, left / 2], channels=2
    )
    assert read_audio(path)[100:-100] == pytest.approx(0.6, abs=1e-3)


def test_resampling_moves_nothing(clip):
    audio = read_audio(clip, 8000)
    assert int(abs(audio[7600:8400]).argmax()) + 7600 == 8000


def test_rotation_flag_is_obeyed(tmp_path):
    image = np.zeros((96, 128, 3), np.uint8)
    image[:, :64] = 255  # left half white
    path = write_video(tmp_path / "v.mp4", clicks(), RATE, [image] * 5)
    data = bytearray(path.read_bytes())
    # The matrix in the track header: a quarter turn clockwise.
    matrix = data.find(b"tkhd") + 44
    quarter = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    data[matrix : matrix + 36] = struct.pack(">9i", *quarter)
    path.write_bytes(data)
    frame = next(read_frames(path))
    assert frame.shape == (128, 96, 3)
    assert frame[:60].mean() > 250 and frame[68:].mean() < 5
    info = probe(path)
    assert (info.width, info.height) == (96, 128)


def test_bad_files_end_in_a_sentence(tmp_path, clip):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 64)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(clip.read_bytes()[:3000])
    for path, word in (
        (empty, "empty"),
        (noise, "corrupt"),
        (torn, "corrupt"),
        (tmp_path / "none.mp4", "no such file"),
    ):
        for read in (read_audio, probe, lambda p: list(read_frames(p))):
            with pytest.raises(VideoError, match=word) as err:
                read(path)
            assert path.name in str(err.value)


def test_missing_streams_are_named(tmp_path):
    mute = write_stream(tmp_path / "mute.mkv", range(0, 400, 40))
    with pytest.raises(VideoError, match="mute.mkv: has no sound track"):
        read_audio(mute)
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        block = np.zeros((1, 800), np.int16)
        frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
        frame.sample_rate = RATE
        out.mux(stream.encode(frame))
    for read in (read_audio, probe, mouth_rois):
        with pytest.raises(VideoError, match="no video track"):
            read(sound)


def test_nothing_is_overwritten_or_left_half_written(clip, tmp_path):
    before = clip.read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        write_video(clip, clicks(), RATE, grey_frames(2))
    assert clip.read_bytes() == before

    def broken():
        yield from grey_frames(3)
        raise VideoError("the camera fell down")

    with pytest.raises(VideoError, match="camera"):
        write_video(tmp_path / "new.mp4", clicks(), RATE, broken())
    with pytest.raises(VideoError, match="at least one frame"):
        write_video(tmp_path / "new.mp4", clicks(), RATE, [])
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    write_video(clip, clicks(), RATE, grey_frames(2), overwrite=True)
    assert frame_numbers(clip) == [0, 1]


def face_at(x, y=0.0, side=50.0, score=0.9):
    box = np.array([x, y, x + side, y + side], np.float32)
    unit = (MEAN_FACE - 60) / 120
    points = (unit * side + box[:2]).astype(np.float32)
    return Face(score, box, points)


def test_moving_faces_keep_their_track_in_any_order_of_detections():
    rng = np.random.default_rng(1)
    frames = []
    for k in range(60):
        found = [face_at(300 - 2 * k), face_at(20 + k, y=100)]
        frames.append([found[i] for i in rng.permutation(2)])
    left, right = build_tracks(frames)
    assert left.boxes[:, 0] == pytest.approx(20 + np.arange(60))
    assert right.boxes[:, 0] == pytest.approx(300 - 2 * np.arange(60))
    assert left.seen.all() and right.seen.all()


def test_gaps_are_interpolated_and_marked():
    frames = [[face_at(2 * k)] for k in range(20)]
    for k in (0, 7, 8, 9, 19):
        frames[k] = []
    (track,) = build_tracks(frames)
    assert np.flatnonzero(~track.seen).tolist() == [0, 7, 8, 9, 19]
    wanted = 2.0 * np.arange(20)
    wanted[0], wanted[19] = wanted[1], wanted[18]
    assert track.boxes[:, 0] == pytest.approx(wanted)
    assert track.points[8, 0] == pytest.approx(face_at(16).points[0])


def test_rare_and_tiny_faces_are_dropped():
    frames = [[face_at(100), face_at(300, side=8.0)] for _ in range(20)]
    for k in range(9):
        frames[k].append(face_at(500))
    (track,) = build_tracks(frames)
    assert track.mean_x == pytest.approx(125)
    for k in range(9, 11):
        frames[k].append(face_at(500))
    assert len(build_tracks(frames)) == 2


def test_max_faces_keeps_the_large_ones_left_to_right():
    frames = [[face_at(400, side=60), face_at(0, side=30), face_at(150)]] * 4
    tracks = build_tracks(frames, max_faces=2)
    assert [t.boxes[0, 0] for t in tracks] == [150, 400]


def test_no_face_ends_in_a_sentence(clip):
    with pytest.raises(VideoError, match="clip.mp4: no face") as err:
        mouth_rois(clip)
    assert "50 frames" in str(err.value)


def test_missing_wheel_is_named(monkeypatch):
    monkeypatch.setattr(mtcnn.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install mtcnn"):
        FaceDetector()


def test_following_detects_again_where_a_face_was_lost():
    class Scripted:
        """Face 1 is lost in frame 3; only a detection sees it again."""

        calls = []

        def detect(self, frame):
            self.calls.append(("detect", int(frame)))
            return [face_at(0), face_at(100)]

        def follow(self, frame, faces):
            self.calls.append(("follow", int(frame)))
            return faces[:1] if frame == 3 else faces

    found = list(find_faces(range(10), Scripted(), every=8))
    assert [len(f) for f in found] == [2] * 10
    assert [n for kind, n in Scripted.calls if kind == "detect"] == [0, 3, 8]


def test_patches_in_batches_of_few_sizes_are_as_each_alone():
    rng = np.random.default_rng(3)
    detector, sizes = FaceDetector(), []
    patches = rng.integers(0, 255, (41, 24, 24, 3)).astype(np.uint8)

    def screen(weights, batch):
        sizes.append(len(batch))
        return mtcnn.screen(weights, batch)

    with torch.no_grad():
        together = detector._run(screen, "rnet", patches)
        assert sizes == [32, 16]
        for k in (0, 31, 32, 40):
            alone = detector._run(screen, "rnet", patches[k : k + 1])
            for many, one in zip(together, alone, strict=True):
                assert len(many) == 41
                assert many[k] == pytest.approx(one[0], abs=1e-5)


def test_crops_are_exact_and_grey_beyond_the_edges():
    frame = np.arange(60 * 80 * 3, dtype=np.uint32) % 251
    frame = frame.astype(np.uint8).reshape(60, 80, 3)
    boxes = np.array(
        [[10, 20, 34, 44], [-8.3, 50.2, 15.7, 74.2], [200, 9, 224, 33.0]]
    )
    patches, cut = _crop(frame, boxes, 24)
    assert (patches[0] == frame[20:44, 10:34]).all()
    assert (patches[1, :10, 8:] == frame[50:, :16]).all()
    assert (patches[1, 10:] == 128).all() and (patches[2] == 128).all()
    assert cut[1].tolist() == [-8, 50, 16, 74]


@pytest.mark.parametrize("scale", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("angle", [0, 20])
def test_crop_puts_the_mouth_of_any_pose_in_the_middle(scale, angle):
    turn = np.radians(angle)
    matrix = scale * np.array(
        [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    centre = np.array([128, 128])
    points = (MEAN_FACE - centre) @ matrix.T + [500, 450]
    frame = np.zeros((900, 1000, 3), np.uint8)
    # Discs at nose and mouth corners, of a size that follows the face.
    y, x = np.mgrid[:900, :1000]
    for point in points[2:]:
        disc = np.hypot(x - point[0], y - point[1]) < 4 * scale
        frame[disc] = 255
    transform = mouth_transforms(points[None].repeat(3, 0))[1]
    track = build_tracks([[Face(1.0, np.array([0, 0, 9, 9.0]), points)]] * 3)
    roi = crop_mouths([frame] * 3, track)[0, 1].astype(float)
    middle = (ROI_SIZE - 1) / 2
    mouth = MEAN_FACE[3:].mean(0)
    for point in MEAN_FACE[2:]:
        wanted = point - mouth + middle
        col, row = np.round(wanted).astype(int)
        part = roi[row - 8 : row + 9, col - 8 : col + 9]
        weight = part.sum()
        found_y = (part.sum(1) * np.arange(row - 8, row + 9)).sum() / weight
        found_x = (part.sum(0) * np.arange(col - 8, col + 9)).sum() / weight
        assert (found_x, found_y) == pytest.approx(tuple(wanted), abs=0.6)
    assert np.hypot(*transform[:, 0]) == pytest.approx(1 / scale, rel=0.01)


def test_trembling_points_do_not_shake_the_crop():
    rng = np.random.default_rng(2)
    still = np.repeat(MEAN_FACE[None] * 2, 50, 0)
    shaken = still + rng.normal(0, 2, still.shape)
    raw = mouth_transforms(shaken, (1, 1, 1))[:, :, 2].std(0)
    smoothed = mouth_transforms(shaken)[:, :, 2].std(0)
    assert (smoothed < 0.5 * raw).all()


def test_crop_beyond_the_edge_of_the_frame_is_whole():
    points = (MEAN_FACE - MEAN_FACE[3:].mean(0)) + [3, 3]
    frame = np.full((200, 200, 3), 77, np.uint8)
    track = build_tracks([[Face(1.0, np.array([0, 0, 9, 9.0]), points)]])
    assert (crop_mouths([frame], track) == 77).all()
    with pytest.raises(VideoError, match="second pass"):
        crop_mouths([], track)
