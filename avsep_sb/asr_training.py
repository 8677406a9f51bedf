"""Trains a recogniser with CTC that is to hear separated voices.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import numpy as np
import torch
from speechbrain.core import Stage
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.nnet.losses import ctc_loss
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.data_pipeline import provides, takes
from speechbrain.utils.distributed import (
    ddp_barrier,
    if_main_process,
    run_on_main,
)
from speechbrain.utils.metric_stats import ErrorRateStats

from avsep_sb.asr_export import export_recogniser
from avsep_sb.dataio.audio import read_audio
from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.evaluation.wer import rate95
from avsep_sb.recogniser_lists import FIELDS, read_sayings, write_wer
from avsep_sb.recovering import RecoveringBrain

BLANK = 0  # that of sentencepiece's unknown piece, as in SpeechBrain's recipes


def make_recogniser_dataset(path, hparams, tokenizer, training):
    """Builds a dataset of recordings and of the tokens of what is said.

    Arguments
    ---------
    path : str or Path
        A list of :func:`avsep_sb.recogniser_lists.write_sayings`.
    hparams : dict
        Read are ``data_folder``, ``sample_rate``, ``seed``, and for training
        ``max_silence``: up to so many seconds of silence before and after.
    tokenizer : sentencepiece.SentencePieceProcessor
        Turns texts into tokens.
    training : bool
        Whether silence is added.

    Returns
    -------
    DynamicItemDataset
        With ``id``, ``sig [T]``, ``wrd`` and ``tokens [U]``, and a
        ``set_epoch``.
    """
    clock = SharedEpoch()
    rows = {
        row["ID"]: {
            "path": row["wav"].replace(
                "$data_root", str(hparams["data_folder"])
            ),
            "wrd": row["wrd"],
            "duration": float(row["duration"]),
        }
        for row in read_sayings(path, FIELDS)
    }

    @takes("id", "path")
    @provides("sig")
    def read(utt_id, path):
        wave = read_audio(path, sample_rate=hparams["sample_rate"])
        if training:
            rng = item_rng(hparams["seed"], clock.get(), utt_id)
            most = hparams["max_silence"] * hparams["sample_rate"]
            wave = np.pad(wave, rng.uniform(0, most, 2).astype(int))
        return torch.from_numpy(wave)

    @takes("wrd")
    @provides("tokens")
    def tell(wrd):
        return torch.tensor(tokenizer.encode_as_ids(wrd), dtype=torch.long)

    dataset = DynamicItemDataset(rows, [read, tell])
    dataset.set_output_keys(["id", "sig", "wrd", "tokens"])
    dataset.set_epoch = clock.set
    return dataset


class RecogniserBrain(RecoveringBrain):
    """Trains ``modules.model`` on features, by CTC over pieces of words.

    The hyperparameters it reads are ``compute_features``, ``normalize``,
    ``wav_augment`` and ``fea_augment`` from the epoch ``augment_from`` on,
    ``lr_scheduler``, ``epoch_counter`` and ``train_logger``.
    """

    train_set = tokenizer = test_name = None

    def compute_forward(self, batch, stage):
        """Log-probabilities [B, frames, tokens] and relative lengths [B]."""
        batch = batch.to(self.device)
        waves, lengths = batch.sig
        # CTC finds out sooner where the words are in speech as it is.
        augment = stage == Stage.TRAIN
        augment = augment and self.epoch >= self.hparams.augment_from
        if augment:
            waves, lengths = self.hparams.wav_augment(waves, lengths)
        features = self.hparams.compute_features(waves)
        features = self.hparams.normalize(features, lengths)
        if augment:
            features, lengths = self.hparams.fea_augment(features, lengths)
        return self.modules.model(features, lengths), lengths

    def compute_objectives(self, predictions, batch, stage):
        """CTC loss; outside training the words are counted too."""
        scores, lengths = predictions
        tokens, token_lengths = batch.tokens
        loss = ctc_loss(scores.float(), tokens, lengths, token_lengths, BLANK)
        if stage != Stage.TRAIN:
            paths = ctc_greedy_decode(scores, lengths, blank_id=BLANK)
            heard = [self.tokenizer.decode_ids(path).split() for path in paths]
            self.words.append(batch.id, heard, [w.split() for w in batch.wrd])
        return loss

    def on_stage_start(self, stage, epoch=None):
        """Empties the counts and tells the data the epoch."""
        self.words, self.epoch = ErrorRateStats(), epoch
        if stage == Stage.TRAIN and self.train_set is not None:
            self.train_set.set_epoch(epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs loss and word error rate, lowers the rate and saves."""
        if stage == Stage.TRAIN:
            self.train_stats = {"loss": float(stage_loss)}
            return
        counts = [
            [float(row[key]) for row in self.words.scores]
            for key in ("num_edits", "num_ref_tokens")
        ]
        rate, low, high = (100 * value for value in rate95(*counts))
        stats = {"loss": float(stage_loss), "WER": rate}
        if stage == Stage.TEST:
            self.hparams.train_logger.log_stats(
                {
                    "Epoch loaded": self.hparams.epoch_counter.current,
                    "heard": self.test_name,
                },
                test_stats={**stats, "WER_low": low, "WER_high": high},
            )
            return
        old, new = self.hparams.lr_scheduler([self.optimizer], epoch)
        update_learning_rate(self.optimizer, new)
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": old},
            train_stats=self.train_stats,
            valid_stats=stats,
        )
        self.checkpointer.save_and_keep_only(meta=stats, min_keys=["WER"])


def train_recogniser(hparams, run_opts):
    """Trains a recogniser, tests it and writes the folder that loads.

    Leaves in ``output_folder`` besides the log ``wer_<list>.txt`` for each
    list of ``test_data`` and ``pretrained/``, for
    ``EncoderASR.from_hparams``. The same command goes on with a run that was
    interrupted.

    Arguments
    ---------
    hparams : dict
        A YAML such as ``hparams/asr_synthav.yaml``.
    run_opts : RunOptions or dict
        SpeechBrain's run options.

    Returns
    -------
    RecogniserBrain
        After the test, holding the best weights.
    """
    # Built here, as the list that it learns from is made after the YAML is
    # read.
    tokenizer = hparams["tokenizer"]()
    train, valid = (
        make_recogniser_dataset(
            hparams[f"{name}_data"], hparams, tokenizer.sp, name == "train"
        )
        for name in ("train", "valid")
    )
    brain = RecogniserBrain(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.train_set, brain.tokenizer = train, tokenizer.sp
    options = hparams["dataloader_opts"]
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs={"shuffle": True, **options},
        valid_loader_kwargs=dict(options),
    )
    for name, path in hparams["test_data"].items():
        brain.test_name = name
        test = make_recogniser_dataset(path, hparams, tokenizer.sp, False)
        brain.evaluate(test, min_key="WER", test_loader_kwargs=dict(options))
        report = Path(hparams["output_folder"]) / f"wer_{name}.txt"
        run_on_main(write_wer, args=(brain.words, report))
    # A trial run leaves the folder of a real one alone.
    trial = brain.debug and not brain.debug_persistently
    if if_main_process() and not trial:
        export_recogniser(hparams["output_folder"], hparams, tokenizer)
    ddp_barrier()
    return brain
