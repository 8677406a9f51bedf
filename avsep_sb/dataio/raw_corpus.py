"""What a recipe says of its corpus: where videos lie, and who may be mixed.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.corpus_media import Video
from avsep_sb.dataio.mixture_names import speaker_of
from avsep_sb.errors import DataError

logger = get_logger(__name__)


class RawCorpus:
    """A corpus of talking-face videos as it unpacks; each has its subclass.

    The layout here is ``<part>/<speaker>/<utterance>.mp4`` with the name
    ``<speaker>_<utterance>``, that of LRS2 and LRS3.

    Arguments
    ---------
    folder : str or Path
        The folder that the user gives.

    Example
    -------
    >>> RawCorpus("nowhere").roots()
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: ...
    """

    #: as in ``recipes/<name>``
    name = "corpus"
    #: parts of the release, in the order in which an utterance is sought
    parts = ("test", "trainval")
    #: folders below the given one that may hold the parts
    tops = ("",)
    #: where mixtures of each split are drawn from
    split_parts = {
        "train": ("trainval",),
        "valid": ("trainval",),
        "test": ("test",),
    }
    #: one of so many speakers of the training is for validation; None where
    #: the corpus has a validation part of its own
    valid_share = None
    #: seconds of each video that mixtures use; None for all
    clip_seconds = 2.0
    #: whether others have published lists of two-speaker mixtures
    public_lists = True

    def __init__(self, folder):
        # Absolute: machines of a cluster work in other folders.
        self.folder = Path(folder).absolute()

    def roots(self):
        """Folders of the parts that are there.

        Returns
        -------
        dict
            ``{part: Path}``; ``DataError`` is raised if there is none.
        """
        for top in self.tops:
            roots = {
                part: self.folder / top / part
                for part in self.parts
                if (self.folder / top / part).is_dir()
            }
            if roots:
                return roots
        raise DataError(
            f"{self.folder} holds neither {self.name} "
            f"({Path(self.tops[0], self.parts[0]).as_posix()}) nor ready "
            "mixtures (audio/wav16k/min): give the right folder with "
            "--data_folder"
        )

    def find(self, utterance):
        """The video of an utterance.

        Arguments
        ---------
        utterance : str
            Its name.

        Returns
        -------
        Video or None
            None if it is not there.
        """
        speaker, _, number = utterance.rpartition("_")
        for root in self.roots().values():
            path = root / speaker / f"{number}.mp4"
            if path.is_file():
                return Video(utterance, path)
        return None

    def speaker(self, utterance):
        """The speaker label of an utterance.

        Arguments
        ---------
        utterance : str
            Its name.

        Returns
        -------
        str
        """
        return speaker_of(utterance)

    def text(self, utterance):
        """What is said in an utterance.

        Arguments
        ---------
        utterance : str
            Its name.

        Returns
        -------
        str
            "" if it is not known.
        """
        return ""

    def videos(self, parts=None):
        """All videos of the corpus.

        Arguments
        ---------
        parts : collection of str or None
            Parts wanted; None takes all.

        Yields
        ------
        Video
            Sorted by name within each part. One whose name an earlier part
            has too is left out, for a list means the other.
        """
        before, hidden = [], 0
        for part, root in self.roots().items():
            if parts is None or part in parts:
                for path in sorted(root.glob("*/*.mp4")):
                    inside = path.relative_to(root)
                    if any((other / inside).is_file() for other in before):
                        hidden += 1
                        continue
                    yield Video(f"{path.parent.name}_{path.stem}", path)
            before.append(root)
        if hidden:
            logger.warning(
                f"{hidden} videos are left out, for {self.name} has others of "
                "the same name in an earlier part, which lists mean"
            )

    def members(self, split):
        """The utterances that mixtures of a split may be drawn from.

        Arguments
        ---------
        split : str
            "train", "valid" or "test".

        Returns
        -------
        dict
            ``{utterance: speaker}``.
        """
        return {
            video.utterance: self.speaker(video.utterance)
            for video in self.videos(self.split_parts[split])
        }

    def pool_name(self, split):
        """What :meth:`members` are, for messages.

        Arguments
        ---------
        split : str
            "train", "valid" or "test".

        Returns
        -------
        str
        """
        return " and ".join(f"{part}/" for part in self.split_parts[split])
