"""Lip-reading pretraining of a visual front end: which word is spoken.

What IIANet's front ends go through on LRW before they are frozen (ICML 2024,
Sec. 4.2 and App. I): the embedding, its mean over time and a linear layer for
500 words. In training the clips are cropped and mirrored, cut to a random
length around the word (Martinez et al., ICASSP 2020) and mixed in pairs
(mixup, Zhang et al., 2018; in lip reading Ma et al., ICASSP 2021).

Authors
 * avsep_sb contributors
"""

import math

import numpy as np
import torch
from speechbrain.core import Stage
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.logger import get_logger

from avsep_sb.checkpoints import save_frontend
from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.dataio.lips import GREY, crop_flip, read_lips
from avsep_sb.dataio.lrw import read_clips
from avsep_sb.errors import ConfigError
from avsep_sb.lip_reading import LipReadingBrain

logger = get_logger(__name__)

#: stream of draws for the pairs of mixup, see dataio.draws.item_rng
MIXUP_STREAM = 8


def word_window(frames, word_frames, rng):
    """Draws a window that holds the word, which lies in the middle.

    Arguments
    ---------
    frames : int
        Frames of the clip.
    word_frames : float
        Length of the word in frames; 0 if it is not known, which keeps the
        clip whole.
    rng : np.random.Generator
        Source of the draws.

    Returns
    -------
    slice
        First frame and frame after the last.

    Example
    -------
    >>> word_window(29, 29, np.random.default_rng(0))
    slice(0, 29, None)
    >>> cut = word_window(29, 5.0, np.random.default_rng(0))
    >>> 0 <= cut.start <= 12 and 17 <= cut.stop <= 29
    True
    """
    if not word_frames:
        return slice(0, frames)
    first = max(0, math.floor((frames - word_frames) / 2))
    last = min(frames, math.ceil((frames + word_frames) / 2))
    start = int(rng.integers(first + 1))
    return slice(start, int(rng.integers(last, frames + 1)))


def make_word_dataset(clips, words, hparams, training):
    """Builds a dataset of mouths with the number of their word.

    Arguments
    ---------
    clips : dict
        Of :func:`avsep_sb.dataio.lrw.read_clips`.
    words : list of str
        All words; the number of a word is its place here.
    hparams : dict
        Read are ``crop_size``, ``video_fps``, ``seed``, and for training
        ``variable_length``, ``random_crop`` and ``horizontal_flip``.
    training : bool
        Whether length, crop and flip are drawn for each epoch; else the clip
        is whole and the crop central.

    Returns
    -------
    DynamicItemDataset
        With ``id``, ``lips [Tv, 1, H, W]`` uint8, ``word`` (int), and a
        ``set_epoch``.
    """
    clock, fps = SharedEpoch(), hparams["video_fps"]
    number = {word: k for k, word in enumerate(words)}

    @takes("id", "lips", "word", "word_seconds")
    @provides("roi", "label")
    def read(clip_id, lips, word, word_seconds):
        frames, rng = read_lips(lips, fps), None
        if training:
            rng = item_rng(hparams["seed"], clock.get(), clip_id)
            if hparams["variable_length"]:
                window = word_window(len(frames), word_seconds * fps, rng)
                frames = frames[window]
        frames = crop_flip(
            frames,
            hparams["crop_size"],
            rng,
            hparams["random_crop"],
            hparams["horizontal_flip"],
        )
        yield torch.from_numpy(np.ascontiguousarray(frames[:, None]))
        yield number[word]

    dataset = DynamicItemDataset(clips)
    dataset.add_dynamic_item(read)
    dataset.set_output_keys(["id", "roi", "label"])
    dataset.set_epoch = clock.set
    return dataset


def mixup_draw(seed, epoch, ids, alpha):
    """Draws the partners of a batch and their share.

    Arguments
    ---------
    seed, epoch : int
        From 0 on.
    ids : list of str
        The clips of the batch, which the draw depends on.
    alpha : float
        Both parameters of the beta distribution of the share.

    Returns
    -------
    (np.ndarray, float)
        Index of the partner of each clip, and what is kept of the clip.

    Example
    -------
    >>> index, kept = mixup_draw(1, 1, ["a", "b"], 0.4)
    >>> sorted(index.tolist()), 0 <= kept <= 1
    ([0, 1], True)
    """
    rng = item_rng(seed, epoch, "|".join(ids), MIXUP_STREAM)
    return rng.permutation(len(ids)), float(rng.beta(alpha, alpha))


class WordReadingBrain(LipReadingBrain):
    """Trains ``modules.visual_frontend`` under ``modules.classifier``.

    The hyperparameters it reads are ``mixup_alpha`` (0 mixes nothing),
    ``seed``, ``visual_frontend``, ``lr_scheduler``, ``epoch_counter`` and
    ``train_logger``.
    """

    def compute_forward(self, batch, stage):
        """Scores of the words, [B, number of words]."""
        batch = batch.to(self.device)
        roi, lengths = batch.roi
        frames = (lengths * roi.shape[1]).round()
        steps = torch.arange(roi.shape[1], device=roi.device)
        seen = steps < frames.unsqueeze(1)
        # Padding is the mean grey: to the net it is nothing.
        roi = roi.masked_fill(~seen[:, :, None, None, None], GREY)
        roi = roi.transpose(1, 2)
        self.partner = None
        if stage == Stage.TRAIN and self.hparams.mixup_alpha:
            self.partner, self.kept = mixup_draw(
                self.hparams.seed,
                self.epoch,
                batch.id,
                self.hparams.mixup_alpha,
            )
            self.partner = torch.from_numpy(self.partner).to(roi.device)
            roi = self.hparams.visual_frontend.input.normalise(roi)
            roi = self.kept * roi + (1 - self.kept) * roi[self.partner]
            # Both words are to be heard of: the longer clip counts.
            seen = seen | seen[self.partner]
        embedding = self.modules.visual_frontend(roi)[:, 0]
        weight = seen.unsqueeze(-1).to(embedding.dtype)
        mean = (embedding * weight).sum(1) / weight.sum(1)
        return self.modules.classifier(mean)

    def compute_objectives(self, predictions, batch, stage):
        """Cross-entropy, with mixup that of both words."""
        labels, scores = batch.label.to(self.device), predictions.float()
        loss = torch.nn.functional.cross_entropy(scores, labels)
        if self.partner is not None:
            other = torch.nn.functional.cross_entropy(
                scores, labels[self.partner]
            )
            loss = self.kept * loss + (1 - self.kept) * other
        if stage != Stage.TRAIN:
            self.right += int((scores.argmax(-1) == labels).sum())
            self.seen += len(labels)
        return loss

    def rates(self, epoch):
        """The learning rates of this epoch and of the next."""
        return self.hparams.lr_scheduler(
            [self.optimizer], epoch, self.train_stats["loss"]
        )


def train_word_reader(hparams, run_opts):
    """Trains and tests a lip reader; leaves the weights of its front end.

    They lie in ``<output_folder>/visual_frontend.ckpt``, for the
    ``frontend_weights`` of a separator. The same command goes on with a run
    that was interrupted.

    Arguments
    ---------
    hparams : dict
        A YAML such as ``hparams/lrw_dctcn.yaml``.
    run_opts : RunOptions or dict
        SpeechBrain's run options.

    Returns
    -------
    WordReadingBrain
        After the test, holding the best weights. ``ConfigError`` is raised
        if the words of the corpus are not as many as ``num_words``.
    """
    splits = {
        name: read_clips(hparams[f"{name}_data"], hparams["data_folder"])
        for name in ("train", "valid", "test")
    }
    words = sorted({clip["word"] for clip in splits["train"].values()})
    if len(words) != hparams["num_words"]:
        raise ConfigError(
            f"The lists hold {len(words)} words, but num_words is "
            f"{hparams['num_words']}: give --num_words {len(words)}, or "
            "prepare the whole corpus."
        )
    for name in ("valid", "test"):
        other = {clip["word"] for clip in splits[name].values()} - set(words)
        if other:
            raise ConfigError(
                f"No clip of {', '.join(sorted(other)[:5])} is in the "
                f"training list, but some are in {name}: prepare the corpus "
                "again."
            )
    train, valid, test = (
        make_word_dataset(splits[name], words, hparams, name == "train")
        for name in ("train", "valid", "test")
    )
    brain = WordReadingBrain(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.train_set = train
    options = hparams["dataloader_opts"]
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs={"shuffle": True, **options},
        valid_loader_kwargs=dict(options),
    )
    brain.evaluate(test, min_key="loss", test_loader_kwargs=dict(options))
    # A trial run leaves the weights of a real one alone.
    trial = brain.debug and not brain.debug_persistently
    if if_main_process() and not trial:
        path = save_frontend(
            hparams["visual_frontend"], hparams["output_folder"]
        )
        logger.info("The weights of the front end are in %s", path)
    ddp_barrier()
    return brain
