"""Prepares LRS2: mouth ROIs, audio and manifests of speaker mixtures.

``python recipes/LRS2/prepare.py FOLDER -j 8`` crops the whole corpus;
training prepares what its mixtures need, and finds what is cropped already.

Authors
 * avsep_sb contributors
"""

import sys

from avsep_sb.dataio.corpus_prepare import prepare_mixtures
from avsep_sb.dataio.crop_command import crop_main
from avsep_sb.dataio.raw_corpus import RawCorpus
from avsep_sb.errors import DataError, run_or_explain


def prepare_lrs2(
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
    """Writes ``train.csv``, ``valid.csv`` and ``test.csv`` of LRS2.

    The mixtures are those of the public lists, or drawn by seed, and are made
    from the raw videos; or ready ones, if there is a folder of them.


    Arguments
    ---------
    data_folder : str or Path
        The raw corpus, with ``mvlrs_v1/main/<id>/<utt>.mp4``;
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
    >>> prepare_lrs2("corpus", "manifests", skip_prep=True)
    """
    if skip_prep:
        return
    prepare_mixtures(
        LRS2(data_folder),
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


class LRS2(RawCorpus):
    """``mvlrs_v1/{main,pretrain}/<programme>/<utt>.mp4``.

    Arguments
    ---------
    folder : str or Path
        The folder that holds ``mvlrs_v1``, or that folder.
    """

    name = "LRS2"
    parts = ("main", "pretrain")
    tops = ("mvlrs_v1", "")
    files = {"train": "train.txt", "valid": "val.txt", "test": "test.txt"}

    def members(self, split):
        """The utterances that the corpus itself assigns to a split.

        Arguments
        ---------
        split : str
            "train", "valid" or "test".

        Returns
        -------
        dict
            ``{utterance: programme}`` of ``train.txt``, ``val.txt`` or
            ``test.txt``, with ``<programme>/<utt>`` on each line.
        """
        name = self.files[split]
        places = [self.folder / top / name for top in self.tops]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise DataError(
                f"mixtures of {split} cannot be drawn without {name} or a "
                f"list of two-speaker mixtures: put {name}, which comes with "
                f"LRS2, into {self.folder}"
            )
        # Lines of test.txt go on with a remark.
        fields = map(str.split, path.read_text(encoding="utf-8").splitlines())
        names = [line[0].replace("/", "_") for line in fields if line]
        return {utterance: self.speaker(utterance) for utterance in names}

    def pool_name(self, split):
        """What the members are, for messages.

        Arguments
        ---------
        split : str
            "train", "valid" or "test".

        Returns
        -------
        str
        """
        return self.files[split]


if __name__ == "__main__":
    sys.exit(run_or_explain(crop_main, sys.argv[1:], LRS2))
