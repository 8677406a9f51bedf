"""What a row of the table is: an input, and how the command must end."""

from dataclasses import dataclass

from tests.torture.films import Given, write_film


@dataclass(frozen=True)
class Right:
    """The command ends with status 0 and one wav per voice.

    Arguments
    ---------
    voices : int
        Voices to be found.
    like : float or None
        Least SI-SNR in dB of each voice beside the one of the plain scene;
        it also may not be moved by more than 1 ms.
    sound : float or None
        The same for the sum of all wavs beside the sound of the plain scene.
    span : (float, float)
        Seconds that are compared.
    silent : bool
        Whether nothing is to be heard.
    shift : float
        Seconds of the plain scene that the video does not show.
    by_face : bool
        Whether voices are named after faces, not speakers.
    each_heard : bool
        Whether no voice may be all zeros.
    """

    voices: int = 2
    like: float = None
    sound: float = 20.0
    span: tuple = (0.0, 1.2)
    silent: bool = False
    shift: float = 0.0
    by_face: bool = True
    each_heard: bool = True

    def __str__(self):
        kind = "face" if self.by_face else "speaker"
        text = f"{self.voices} {kind}{'s' * (self.voices != 1)}"
        if self.silent:
            return f"{text}, silence"
        if self.like is not None:
            text += f"; voices ≥ {self.like:g} dB"
        if self.sound is not None:
            text += f"; sound ≥ {self.sound:g} dB"
        return text


@dataclass(frozen=True)
class Refused:
    """The command ends with status 2, one sentence and no file.

    Arguments
    ---------
    says : str
        A regular expression that the sentence matches.
    leaves : str or None
        Name of the one result that is written all the same.
    """

    says: str
    leaves: str = None

    def __str__(self):
        words = self.says.replace(".*", " ... ").replace("|", " or ")
        text = f"a sentence: {words}"
        return text + "; the good one is done" * bool(self.leaves)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Arguments
    ---------
    name : str
        In a few words; also the name of the test.
    make : callable
        Takes the plain :class:`Scene` and an empty folder; returns
        :class:`Given` or the path of a video.
    ends : Right or Refused
        How the command must end.
    options : tuple
        Further options of the command.
    videos : bool
        Whether mp4s are written, and checked.
    overview : bool
        Whether the overview is drawn: it takes longer than all the rest.
    skip : callable or None
        Returns why the row cannot be tried here, or None.
    """

    name: str
    make: object
    ends: object
    options: tuple = ()
    videos: bool = False
    overview: bool = False
    skip: object = None


def film(name="film.mp4", sound=lambda s: s, frames=lambda f: f, **options):
    """A maker of a video that differs from the plain scene.

    Arguments
    ---------
    name : str
        Of the file; the ending names the container.
    sound, frames : callable or None
        Changes the sound [T], or the frames; None leaves them out.
    **options
        Of :func:`write_film`; with ``fps`` or ``times`` the scene is filmed
        at these times.

    Returns
    -------
    callable
        For :class:`Row`.
    """

    def make(scene, folder):
        asked = dict(options)
        shown = scene.frames
        if "fps" in asked and "times" not in asked:
            count = round(scene.seconds * asked["fps"])
            asked["times"] = [k / asked["fps"] for k in range(count)]
        if "times" in asked:
            shown = [scene.at(time) for time in asked["times"]]
        return write_film(
            folder / name,
            None if frames is None else frames(shown),
            None if sound is None else sound(scene.sound),
            **asked,
        )

    return make


def raw(name, content):
    """A maker of a file with some bytes in it."""

    def make(scene, folder):
        (folder / name).write_bytes(content)
        return Given([str(folder / name)])

    return make
