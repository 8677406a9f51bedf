"""The transcript of a video: its folder, its files, and what they hold.

A folder ``transcript`` inside that of a separated video holds, for each face

==============  ===========================================================
``face1.txt``   what was said, a line for each utterance
``face1.srt``   the same as subtitles, for ``face1.mp4``
``face1.vtt``   the same for web players
==============  ===========================================================

and of all faces together ``transcript.txt`` (time, name and text of each
utterance, in the order of time), ``transcript.srt``, ``transcript.vtt``,
``transcript.rttm`` (who speaks when) and ``transcript.json``. The files of
somebody who says nothing are empty; a VTT file keeps its header.

``transcript.json`` is an object; times are in seconds of the video::

    {"version": 1,
     "video": "meeting.mp4",           as in faces.json, as are bytes
     "bytes": 123456,
     "settings": {...},                what the transcript depends on
     "asr": "asr-synthav",             the recogniser
     "avsep_sb": "0.1.0",              version that made it
     "seconds": 61.44,
     "files": ["face1.txt", ...],      all files that were written
     "faces": [                        one for each voice
       {"name": "face1",               as in faces.json
        "speaker": "Anna",             as in all other files
        "speech": [[0.4, 3.1]],        as in transcript.rttm
        "text": "all that was said"}],
     "segments": [                     utterances in the order of time
       {"start": 0.4, "stop": 3.1, "face": "face1", "speaker": "Anna",
        "text": "what was said"}]}     empty if no word was recognised

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.errors import ConfigError
from avsep_sb.inference import video_files as files
from avsep_sb.inference.activity import write_rttm
from avsep_sb.inference.subtitles import Segment, format_srt, format_vtt

FORMAT = 1
FOLDER = "transcript"
TABLE = "transcript.json"


class Transcript:
    """What was said in a video, and by whom.

    Arguments
    ---------
    folder : str or Path
        The folder of the transcript.
    table : dict
        Its ``transcript.json``.
    skipped : bool
        Whether it was there already.

    Example
    -------
    >>> said = {"start": 1.5, "stop": 2.0, "face": "face1", "text": "hello"}
    >>> faces = [{"name": "face1", "speaker": "Anna", "text": "hello"}]
    >>> table = {"faces": faces, "segments": [{**said, "speaker": "Anna"}]}
    >>> transcript = Transcript("a/transcript", table)
    >>> transcript.texts, print(transcript.text, end="")
    [00:00:01.50 - 00:00:02.00] Anna: hello
    ({'face1': 'hello'}, None)
    """

    def __init__(self, folder, table, skipped=False):
        self.folder, self.table = Path(folder), table
        self.skipped = skipped
        #: what deletes a temporary folder together with this object
        self.temporary = None

    @property
    def segments(self):
        """list of Segment: all utterances, in the order of time."""
        return [
            Segment(s["start"], s["stop"], s["speaker"], s["text"])
            for s in self.table["segments"]
        ]

    @property
    def texts(self):
        """dict: name of each face to all that it says."""
        return {face["name"]: face["text"] for face in self.table["faces"]}

    @property
    def text(self):
        """str: a line for each utterance, with its time and its speaker."""
        return format_lines(self.segments)


def format_lines(segments):
    """A line for each utterance, with its time and its speaker.

    Arguments
    ---------
    segments : iterable of Segment
        In the order of time; those without a text are left out.

    Returns
    -------
    str
        Empty if nothing was said.

    Example
    -------
    >>> format_lines([Segment(3723.0, 3724.25, "Ben", "yes")])
    '[01:02:03.00 - 01:02:04.25] Ben: yes\\n'
    """
    return "".join(
        f"[{_clock(s.start)} - {_clock(s.stop)}] {s.speaker}: {s.text}\n"
        for s in segments
        if s.text
    )


def _clock(seconds):
    whole, hundredths = divmod(round(100 * seconds), 100)
    minutes, second = divmod(whole, 60)
    return (
        f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{hundredths:02d}"
    )


def speaker_names(faces, names=None):
    """Names for the files of a transcript.

    Arguments
    ---------
    faces : list of str
        ``face1`` and so on.
    names : dict or None
        Face to name, of those that have one.

    Returns
    -------
    dict
        All faces, in their order. ``ConfigError`` is raised for a face that
        is not there, and for a name that is empty or another's as well.

    Example
    -------
    >>> speaker_names(["face1", "face2"], {"face2": "Ben"})
    {'face1': 'face1', 'face2': 'Ben'}
    """
    names = {
        face: " ".join(str(name).split())
        for face, name in (names or {}).items()
    }
    for face, name in names.items():
        if face not in faces:
            raise ConfigError(
                f"there is no {face} to be named {name or 'anything'}: the "
                f"voices are {', '.join(faces) or 'none'}."
            )
        if not name:
            raise ConfigError(f"the name of {face} is empty; give it one.")
    found = {face: names.get(face, face) for face in faces}
    # RTTM, which has no blanks, must tell them apart as well.
    if len({"_".join(name.split()) for name in found.values()}) < len(found):
        raise ConfigError(
            f"two voices have one name ({', '.join(found.values())}); give "
            "each another one."
        )
    return found


def write_files(folder, table):
    """Writes all files of a transcript.

    Arguments
    ---------
    folder : Path
        An empty folder.
    table : dict
        All of ``transcript.json`` but ``files``.

    Returns
    -------
    dict
        The table as written.
    """
    transcript = Transcript(folder, table)
    said = {face["name"]: [] for face in table["faces"]}
    for entry, segment in zip(
        table["segments"], transcript.segments, strict=True
    ):
        if segment.text:
            said[entry["face"]].append(segment)
    texts = {
        "transcript.txt": transcript.text,
        "transcript.srt": format_srt(transcript.segments, names=True),
        "transcript.vtt": format_vtt(transcript.segments, names=True),
    }
    for name, own in said.items():
        texts[f"{name}.txt"] = "".join(f"{s.text}\n" for s in own)
        texts[f"{name}.srt"] = format_srt(own)
        texts[f"{name}.vtt"] = format_vtt(own)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8", newline="\n")
    write_rttm(
        folder / "transcript.rttm",
        Path(table["video"]).stem.strip() or "video",
        {face["speaker"]: face["speech"] for face in table["faces"]},
    )
    return files.write_table(folder, table, TABLE)
