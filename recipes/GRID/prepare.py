"""Prepares GRID: mouth ROIs, audio and manifests of speaker mixtures.

``python recipes/GRID/prepare.py FOLDER -j 8`` crops the whole corpus;
training prepares what its mixtures need, and finds what is cropped already.

Authors
 * avsep_sb contributors
"""

import re
import sys
from functools import cached_property
from pathlib import Path

from avsep_sb.dataio.corpus_media import Video
from avsep_sb.dataio.corpus_prepare import prepare_mixtures
from avsep_sb.dataio.crop_command import crop_main
from avsep_sb.dataio.grid_names import coded_sentence
from avsep_sb.dataio.raw_corpus import RawCorpus
from avsep_sb.errors import DataError, run_or_explain

TEST_SPEAKERS = ("s1", "s2", "s20", "s22")
"""The unseen speakers of the lip-reading literature on GRID."""

VALID_SPEAKERS = ("s3", "s4", "s30", "s31")


def prepare_grid(
    data_folder,
    save_folder,
    num_train=None,
    num_valid=None,
    num_test=None,
    mix_seed=0,
    lists_folder=None,
    media_folder=None,
    num_spks=2,
    clip_seconds=None,
    workers=None,
    ray=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of GRID.

    The split is by speaker: s1, s2, s20, s22 are for test, s3, s4, s30, s31
    for validation, all others for training. The mixtures are drawn by
    ``mix_seed`` alone and do not depend on the seed of the training; their
    lists are kept in ``<save_folder>/lists``.

    Arguments
    ---------
    data_folder : str or Path
        The corpus, with videos ``s<k>/*.mpg`` (in subfolders too).
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays.
    num_train, num_valid, num_test : int or None
        Mixtures of each split; None takes 20000, 5000 and 3000, or 300 of
        more than two speakers.
    mix_seed : int
        Seed of the mixtures.
    lists_folder : str, Path or None
        Folder of ``mix_<num_spks>_spk_{tr,cv,tt}.scp``, for mixtures of
        another run; None looks in ``<data_folder>/lists`` and in
        ``data_folder``.
    media_folder : str, Path or None
        Folder for the extracted audio and mouths, which all experiments
        share; None takes ``<data_folder>/avsep_sb``.
    num_spks : int
        Speakers per mixture: 2, 3 or 4.
    clip_seconds : float or None
        Use the first so many seconds of each video; None uses all (3 s).
    workers : int or None
        Processes; None takes one per processor.
    ray : str or None
        Address of a Ray cluster that does the work ("auto", "local" or
        HOST:PORT); None takes processes of this machine.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_grid("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    prepare_mixtures(
        GRID(data_folder),
        save_folder,
        lists_folder=lists_folder,
        num_train=num_train,
        num_valid=num_valid,
        num_test=num_test,
        mix_seed=mix_seed,
        media_folder=media_folder,
        num_spks=num_spks,
        clip_seconds=clip_seconds,
        workers=workers,
        ray=ray,
    )


class GRID(RawCorpus):
    """``s<k>/*.mpg``, in subfolders too.

    Arguments
    ---------
    folder : str or Path
        The folder that holds ``s1`` to ``s34``.
    """

    name = "GRID"
    parts = tuple(f"s{k}" for k in range(1, 35) if k != 21)
    clip_seconds = None
    public_lists = False

    @cached_property
    def _found(self):
        return find_videos(self.folder)

    def roots(self):
        """Folders of the speakers who are there.

        Returns
        -------
        dict
            ``{speaker: Path}``; ``DataError`` is raised if there is no video.
        """
        speakers = dict.fromkeys(self._found[1].values())
        return {speaker: self.folder / speaker for speaker in speakers}

    def find(self, utterance):
        """The video of an utterance.

        Arguments
        ---------
        utterance : str
            ``s<k>_<sentence>``.

        Returns
        -------
        Video or None
        """
        path = self._found[0].get(utterance)
        return None if path is None else Video(utterance, path)

    def text(self, utterance):
        """What is said in an utterance.

        Arguments
        ---------
        utterance : str
            ``s<k>_<sentence>``.

        Returns
        -------
        str
            Of the ``.align`` file beside the video, in a folder ``align``
            there or in ``alignments/s<k>``; else of the name, which codes
            the sentence; "" if neither tells.
        """
        video = self._found[0].get(utterance)
        if video is None:
            return ""
        aside = self.folder / "alignments" / self.speaker(utterance)
        for folder in (video.parent, video.parent / "align", aside):
            path = folder / f"{video.stem}.align"
            if path.is_file() and (text := read_align(path)):
                return text
        return coded_sentence(video.stem) or ""

    def videos(self, parts=None):
        """All videos of the corpus.

        Arguments
        ---------
        parts : collection of str or None
            Speakers wanted; None takes all.

        Yields
        ------
        Video
        """
        for name, path in self._found[0].items():
            if parts is None or self.speaker(name) in parts:
                yield Video(name, path)

    def members(self, split):
        """The utterances of the speakers of a split.

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
            name: speaker
            for name, speaker in self._found[1].items()
            if split_of(speaker) == split
        }

    def pool_name(self, split):
        """The speakers of a split, for messages.

        Arguments
        ---------
        split : str
            "train", "valid" or "test".

        Returns
        -------
        str
        """
        named = {"test": TEST_SPEAKERS, "valid": VALID_SPEAKERS}
        return ", ".join(named.get(split, ("the other speakers",)))


def read_align(path):
    """The words of a file of word times.

    Arguments
    ---------
    path : str or Path
        Lines of start, end and word; "sil" and "sp" are pauses.

    Returns
    -------
    str
        ``DataError`` is raised for a file of another kind.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.align"
    >>> _ = path.write_text("0 9 sil" + chr(10) + "9 20 bin")
    >>> read_align(path)
    'bin'
    """
    words = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        cells = line.split()
        if len(cells) != 3:
            raise DataError(
                f"{path} is no file of word times (start, end and word in "
                f"each line): it has {line!r}; fetch it again."
            )
        if cells[2] not in ("sil", "sp"):
            words.append(cells[2])
    return " ".join(words)


def split_of(speaker):
    """The split of a speaker.

    Arguments
    ---------
    speaker : str
        "s1" to "s34".

    Returns
    -------
    str
        "train", "valid" or "test".

    Example
    -------
    >>> split_of("s20"), split_of("s4"), split_of("s5")
    ('test', 'valid', 'train')
    """
    if speaker in TEST_SPEAKERS:
        return "test"
    return "valid" if speaker in VALID_SPEAKERS else "train"


def find_videos(data_folder):
    """All videos of the corpus.

    Arguments
    ---------
    data_folder : str or Path
        The folder that holds ``s1`` to ``s34``.

    Returns
    -------
    videos : dict
        Path of each utterance, ``{"s1_bbaf2n": Path}``.
    speakers : dict
        Speaker of each utterance, ``{"s1_bbaf2n": "s1"}``.
    """
    videos, speakers = {}, {}
    for folder in sorted(Path(data_folder).glob("s*")):
        if not re.fullmatch(r"s\d+", folder.name):
            continue
        for path in sorted(folder.rglob("*.mpg")):
            name = f"{folder.name}_{path.stem}"
            videos.setdefault(name, path)
            speakers[name] = folder.name
    if not videos:
        raise DataError(
            f"{data_folder} holds no videos s1/*.mpg: download GRID as "
            "recipes/GRID/README.md says, and give its --data_folder"
        )
    return videos, speakers


if __name__ == "__main__":
    sys.exit(run_or_explain(crop_main, sys.argv[1:], GRID))
