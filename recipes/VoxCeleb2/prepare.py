"""Prepares VoxCeleb2: mouth ROIs, audio and manifests of speaker mixtures.

``python recipes/VoxCeleb2/prepare.py FOLDER -j 8`` crops the whole corpus;
training prepares what its mixtures need, and finds what is cropped already.

Authors
 * avsep_sb contributors
"""

import sys

from avsep_sb.dataio.corpus_media import Video
from avsep_sb.dataio.corpus_prepare import prepare_mixtures
from avsep_sb.dataio.crop_command import crop_main
from avsep_sb.dataio.raw_corpus import RawCorpus
from avsep_sb.errors import run_or_explain


def prepare_voxceleb2(
    data_folder,
    save_folder,
    lists_folder=None,
    make_lists=None,
    num_train=None,
    num_valid=None,
    num_test=None,
    mix_seed=0,
    mixtures_folder=None,
    media_folder=None,
    num_spks=2,
    clip_seconds=2.0,
    workers=None,
    ray=None,
    skip_prep=False,
):
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of VoxCeleb2.

    The mixtures are those of the public lists, or drawn by seed, and are made
    from the raw videos; or ready ones, if there is a folder of them.


    Arguments
    ---------
    data_folder : str or Path
        The raw corpus, with ``{dev,test}/{mp4,aac}/<spk>/<video>/<utt>``;
        or ready mixtures, with ``audio/wav16k/min`` and ``mouths``.
    save_folder : str or Path
        Folder of the manifests. A manifest that is there stays.
    lists_folder : str, Path or None
        Folder of ``mix_<num_spks>_spk_{tr,cv,tt}.scp``; None looks in
        ``<data_folder>/lists`` and in ``data_folder``.
    make_lists : bool or None
        Whether to draw the lists that are not found. None draws them for
        more than two speakers, of whom there are no public ones.
    num_train, num_valid, num_test : int or None
        Mixtures of each drawn list; None takes 20000, 5000 and 3000, or 300
        of more than two speakers.
    mix_seed : int
        Seed of the drawn lists, whatever that of the training is.
    mixtures_folder : str, Path or None
        Folder of ready mixtures, if it is not ``data_folder``.
    media_folder : str, Path or None
        Folder for the extracted audio and mouths, which all experiments
        share; None takes ``<data_folder>/avsep_sb``.
    num_spks : int
        Speakers per mixture: 2, 3 or 4.
    clip_seconds : float or None
        Use the first so many seconds of each video, as the published
        mixtures do; None uses all.
    workers : int or None
        Processes; None takes one per processor.
    ray : str or None
        Address of a Ray cluster that does the work ("auto", "local" or
        HOST:PORT); None takes processes of this machine.
    skip_prep : bool
        Do nothing.

    Example
    -------
    >>> prepare_voxceleb2("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    prepare_mixtures(
        VoxCeleb2(data_folder),
        save_folder,
        lists_folder=lists_folder,
        make_lists=make_lists,
        num_train=num_train,
        num_valid=num_valid,
        num_test=num_test,
        mix_seed=mix_seed,
        mixtures_folder=mixtures_folder,
        media_folder=media_folder,
        num_spks=num_spks,
        clip_seconds=clip_seconds,
        workers=workers,
        ray=ray,
    )


class VoxCeleb2(RawCorpus):
    """``{dev,test}/mp4/<spk>/<video>/<utt>.mp4``, and ``aac`` beside ``mp4``
    with ``<utt>.m4a``.

    New mixtures are drawn from the speakers of ``test``, and from those of
    ``dev``, a fiftieth of whom are for validation.

    Arguments
    ---------
    folder : str or Path
        The folder that holds ``dev`` and ``test``. What is not in ``test``
        is also sought in ``mp4`` itself.
    """

    name = "VoxCeleb2"
    parts = ("test/mp4", "mp4", "dev/mp4")
    split_parts = {
        "train": ("dev/mp4",),
        "valid": ("dev/mp4",),
        "test": ("test/mp4", "mp4"),
    }
    valid_share = 50

    def find(self, utterance):
        """The video of an utterance.

        Arguments
        ---------
        utterance : str
            ``<spk>_<video>_<utt>``; a video is a YouTube id, which may hold
            underscores itself.

        Returns
        -------
        Video or None
        """
        speaker, _, rest = utterance.partition("_")
        video, _, number = rest.rpartition("_")
        for root in self.roots().values():
            path = root / speaker / video / f"{number}.mp4"
            if path.is_file():
                return _with_sound(root, path)
        return None

    def videos(self, parts=None):
        """All videos of the corpus.

        Arguments
        ---------
        parts : collection of str or None
            Parts wanted; None takes all.

        Yields
        ------
        Video
            Sorted by name within each part.
        """
        for part, root in self.roots().items():
            if parts is None or part in parts:
                for path in sorted(root.glob("id*/*/*.mp4")):
                    yield _with_sound(root, path)


def _with_sound(root, path):
    """A video and its sound, which lies in ``aac`` beside ``mp4``."""
    inside = path.relative_to(root)
    # Without the file the video's own sound track is taken, or missed.
    sound = (root.parent / "aac" / inside).with_suffix(".m4a")
    name = "_".join(inside.with_suffix("").parts)
    return Video(name, path, sound if sound.is_file() else None)


if __name__ == "__main__":
    sys.exit(run_or_explain(crop_main, sys.argv[1:], VoxCeleb2))
