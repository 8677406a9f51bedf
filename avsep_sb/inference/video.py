"""From a video file to a folder with one voice per face.

The video is read several times and never held: faces are followed and their
mouths kept on disk, offsets are sought, the sound is separated in windows and
written block by block, and the pictures are copied. Memory does not grow with
the length but for 65 bytes for each face and frame.

Authors
 * avsep_sb contributors
"""

from functools import partial

from avsep_sb import __version__
from avsep_sb.errors import VideoError
from avsep_sb.inference import video_files as files
from avsep_sb.inference import video_sync as sync
from avsep_sb.inference.activity import write_rttm
from avsep_sb.inference.diarization import speech_of_faces
from avsep_sb.inference.over_time import OverTime
from avsep_sb.inference.video_options import VideoOptions
from avsep_sb.inference.video_pictures import (
    write_portraits,
    write_sheets,
    write_videos,
)
from avsep_sb.inference.video_result import VideoResult
from avsep_sb.inference.video_source import inspect_source
from avsep_sb.inference.video_table import add_notes, face_entry
from avsep_sb.inference.video_voices import VoiceWriter, counted
from avsep_sb.vision.audio_stream import stream_audio
from avsep_sb.vision.watch import watch

#: a video of at most so many frames is searched frame by frame before it is
#: refused: else a face that is seen for a moment may lie between two searches
CLOSE_LOOK_FRAMES = 3000


def separate_to_folder(
    separator,
    audio_separator,
    video,
    folder,
    options=None,
    detector=None,
    describer=None,
    progress=None,
):
    """Separates one video into a folder, which comes whole or not at all.

    Arguments
    ---------
    separator : AVSeparation
        The audio-visual model; an audio-only one leaves faces out of account.
    audio_separator : AVSeparation or None
        An audio-only model of the same rates, for faces without lips and for
        recordings without faces.
    video : str or Path
        Any video; with ``options.speakers`` also a file of sound alone.
    folder : str or Path
        The folder of the result (see :mod:`avsep_sb.inference.video_files`).
        The same result is kept if it is there already.
    options : VideoOptions or None
        None takes the defaults.
    detector : avsep_sb.vision.faces.FaceDetector or None
        None makes one; pass one to share it over videos.
    describer : avsep_sb.vision.face_look.FaceDescriber or None
        In the same way.
    progress : callable or None
        Called as ``progress(stage, done, total)``: what is done now, how
        much of it, and of how much; total is None if nobody knows.

    Returns
    -------
    VideoResult
        ``AVSepError`` is raised for a file without sound, for one without
        faces unless ``options.speakers`` is given, and for a folder that
        holds something else.
    """
    options = options or VideoOptions()
    earlier = files.earlier_result(
        folder, video, options.settings, options.overwrite
    )
    if earlier is not None:
        return VideoResult(folder, earlier, skipped=True)
    source = inspect_source(video)
    looks = separator.sees and source.has_picture
    if separator.sees and not looks and options.speakers is None:
        raise VideoError(
            f"{video}: has no picture; add --speakers N to separate it into "
            "N voices by sound alone."
        )
    tell = progress or _ignore
    with files.all_or_nothing(folder) as part:
        if looks:
            look = partial(
                watch,
                video,
                float(separator.hparams.video_fps),
                options.max_faces,
                detector,
                describer,
                folder=part,
                progress=_stage(tell, "faces", source.frames(separator)),
            )
            with _looked_at(look, options) as timeline:
                work = _Work(separator, audio_separator, source, part, options)
                table = work.run(timeline, tell)
        else:
            work = _Work(separator, audio_separator, source, part, options)
            table = work.run(None, tell)
    return VideoResult(folder, table)


def separate_video(
    separator,
    path,
    folder=None,
    audio_model=None,
    detector=None,
    progress=None,
    **options,
):
    """Separates a video, and gives the voices without holding them.

    Arguments
    ---------
    separator : AVSeparation
        The model.
    path : str or Path
        The video.
    folder : str, Path or None
        Where the result is kept. None takes a temporary folder, deleted with
        the result; then no mp4s are written unless ``videos=True``.
    audio_model, detector, progress
        As ``audio_separator`` and the others of :func:`separate_to_folder`.
    **options
        Those of :class:`VideoOptions`.

    Returns
    -------
    VideoResult
    """
    temporary = None
    if folder is None:
        temporary, folder = VideoResult.temporary_folder()
        options.setdefault("videos", False)
    result = separate_to_folder(
        separator,
        audio_model,
        path,
        folder,
        VideoOptions(**options),
        detector,
        progress=progress,
    )
    result.temporary = temporary
    return result


def _looked_at(look, options):
    """The timeline; each frame is searched before a short video is refused."""
    timeline = look()
    if timeline.people or options.speakers is not None:
        return timeline
    if timeline.frames > CLOSE_LOOK_FRAMES:
        return timeline
    timeline.close()
    return look(every=1)


def _ignore(*_):
    pass


def _stage(tell, name, total):
    """Progress of one stage; its end is not taken on trust."""
    return lambda done: tell(name, done, total)


class _Work:
    """The steps from faces to files, for one video."""

    def __init__(self, separator, audio_separator, source, part, options):
        self.separator, self.audio_separator = separator, audio_separator
        self.source, self.part, self.options = source, part, options
        self.rate = int(separator.hparams.sample_rate)
        self.fps = int(separator.hparams.video_fps)
        self.open_sound = partial(
            stream_audio,
            source.path,
            self.rate,
            picture=source.has_picture,
            centred=True,
        )

    def run(self, timeline, tell):
        """Writes all files; gives the table."""
        if next(self.open_sound(), None) is None:
            raise VideoError(
                f"{self.source.path}: its sound lies before its picture; "
                "re-encode the file."
            )
        people = timeline.people if timeline is not None else []
        if timeline is not None and not people:
            self._refuse_no_face(timeline)
        entries = [
            {"name": f"face{k + 1}", **face_entry(timeline, k)}
            for k in range(len(people))
        ]
        faces = self._in_sync(timeline, entries) if people else None
        over_time, gain, length = self._separate(faces, tell)
        if not people:
            entries = [_speaker(k) for k in range(over_time.num_voices)]
        add_notes(entries, over_time.notes, length, self.rate)
        self._finish(timeline if people else None, entries, tell)
        return self._tabulate(timeline, entries, gain, length)

    def _refuse_no_face(self, timeline):
        if self.options.speakers is None:
            width, height = timeline.size
            raise VideoError(
                f"{self.source.path}: shows no face of at least 40 pixels in "
                f"{timeline.frames} frames of {width} x {height}; add "
                "--speakers N to separate it into N voices by sound alone."
            )

    def _in_sync(self, timeline, entries):
        finder = sync.offset_finder(self.separator, self.options.sync_model)
        estimates = sync.find_offsets(finder, timeline, self.open_sound())
        film = self.source.path.name
        names = [f"{film}, {entry['name']}" for entry in entries]
        faces, taken = sync.settle_offsets(timeline, names, estimates)
        for entry, found, ms in zip(entries, estimates, taken, strict=True):
            known = found is not None and found.trusted
            entry["offset_ms"] = round(found.ms, 1) if known else None
            entry["offset_corrected_ms"] = ms
        return faces

    def _separate(self, faces, tell):
        """Writes the wavs; gives the notes, the gain and the length."""
        options, done = self.options, [0]
        over_time = OverTime(
            self.separator,
            faces,
            self.audio_separator,
            options.speakers,
            options.window_seconds,
            silence_db=options.silence_db,
            all_in_view=options.all_in_view,
        )
        seconds = self.source.seconds
        if seconds is None and faces is not None:
            seconds = faces.frames / self.fps
        with VoiceWriter(self.part) as writer:
            sound = counted(self.open_sound(), done)
            for block in over_time.separate(sound):
                writer.feed(block)
                end = (block.first + len(block.mixture)) / self.rate
                tell("voices", end, seconds)
            # The picture may go on after the sound: nothing is heard then.
            length = done[0]
            stem = "face" if over_time.by_face else "speaker"
            names = [f"{stem}{k + 1}" for k in range(over_time.num_voices)]
            paths = [self.part / f"{name}.wav" for name in names]
            gain = writer.write(
                [*paths, self.part / files.RESIDUAL], self.rate, length
            )
        return over_time, gain, length

    def _finish(self, timeline, entries, tell):
        """Pictures, videos and speech of each voice."""
        for entry in entries:
            name = entry["name"]
            entry["wav"] = f"{name}.wav"
            entry["mp4"] = entry["thumbnail"] = entry["sheet"] = None
            if timeline is not None:
                entry["thumbnail"] = f"{name}.png"
                entry["sheet"] = f"{name}_mouths.png"
            if self.source.has_picture and self.options.videos:
                entry["mp4"] = f"{name}.mp4"
        wavs = self._paths(entries, "wav")
        if timeline is not None:
            portraits = self._paths(entries, "thumbnail")
            write_portraits(self.source.path, timeline, portraits)
            write_sheets(timeline, self._paths(entries, "sheet"))
        if self.source.has_picture and self.options.videos:
            fix = self.options.fix_sync
            late = [fix * e.get("offset_corrected_ms", 0) for e in entries]
            write_videos(
                self.source.path,
                wavs,
                self._paths(entries, "mp4"),
                _stage(tell, "videos", len(wavs)),
                late,
            )
        names = [entry["name"] for entry in entries]
        speech = speech_of_faces(
            dict(zip(names, wavs, strict=True)),
            [self.part / files.RESIDUAL],
            timeline,
        )
        for entry in entries:
            entry["speech"] = [list(span) for span in speech[entry["name"]]]

    def _paths(self, entries, key):
        return [self.part / entry[key] for entry in entries]

    def _tabulate(self, timeline, entries, gain, length):
        """Writes what was found, and draws it."""
        path = self.source.path
        write_rttm(
            self.part / files.RTTM,
            path.stem.strip() or "video",
            {entry["name"]: entry["speech"] for entry in entries},
        )
        cuts = timeline.cuts if timeline is not None else []
        table = {
            **files.result_mark(path, self.options.settings),
            "model": self.options.model,
            "audio_model": self.options.audio_model,
            "avsep_sb": __version__,
            "fps": self.fps,
            "sample_rate": self.rate,
            "seconds": round(length / self.rate, 4),
            "frames": timeline.frames if timeline is not None else 0,
            "size": list(timeline.size) if timeline is not None else None,
            "cuts": [round(cut / self.fps, 3) for cut in cuts],
            "gain": gain,
            "residual": files.RESIDUAL,
            "faces": entries,
        }
        table = files.write_table(self.part, table)
        try:
            from avsep_sb.inference.overview import draw_overview
        except ImportError:  # matplotlib is not installed
            return table
        draw_overview(self.part)
        return files.write_table(self.part, table)


def _speaker(number):
    """What is known of a voice without a face."""
    return {
        "name": f"speaker{number + 1}",
        "spans": [],
        "boxes": [],
        "quality": {},
        "quality_spans": [],
        "offset_ms": None,
        "offset_corrected_ms": 0.0,
    }
