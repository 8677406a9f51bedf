"""A recogniser of SpeechBrain as a part of a model that trains.

The interfaces of SpeechBrain are made to transcribe: no gradient, evaluation
mode. Here the network of an ``EncoderASR`` folder maps waveforms to the
log-probabilities of CTC (Graves et al. 2006), and gradients come back to
the waveforms; afterwards the folder can be written again with what it learnt.

Authors
 * avsep_sb contributors
"""

import contextlib
import functools
import os
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from speechbrain.dataio.encoder import CTCTextEncoder
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.inference.ASR import EncoderASR
from speechbrain.processing.features import InputNormalization
from torch import nn
from torchaudio.transforms import Resample

from avsep_sb.errors import ConfigError
from avsep_sb.inference.asr_load import load_asr
from avsep_sb.inference.export import read_objects
from avsep_sb.inference.folder import cpu_state
from avsep_sb.inference.shipped import find_model
from avsep_sb.inference.text import normalise_text

CARD = """\
# Recogniser, trained on with a separator

From `{source}`, trained on what a separator of avsep_sb makes of mixtures.

```python
from speechbrain.inference.ASR import EncoderASR
asr = EncoderASR.from_hparams("<this folder>")
```
"""
# Letters of all kinds, to find out which case the tokenizer was made for.
_PANGRAM = "the quick brown fox jumps over a lazy dog"


class CTCRecogniser(nn.Module):
    """The network and the tokenizer of an ``EncoderASR`` folder.

    The statistics of SpeechBrain's ``InputNormalization`` stay as they are in
    any mode: they belong to clean speech and to no batch of estimates.

    Arguments
    ---------
    source : str or Path
        A folder that ``EncoderASR.from_hparams`` loads, or the name of one
        that ships. ``ConfigError`` is raised for other kinds: an
        ``EncoderDecoderASR`` holds a search and no loss.
    sample_rate : int
        Hz of the waveforms that :meth:`forward` is given.

    Example
    -------
    >>> CTCRecogniser("no/such/folder", 16000)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: ...
    """

    def __init__(self, source, sample_rate):
        super().__init__()
        self.source = find_model(source)
        asr = load_asr(self.source, device="cpu")
        if not isinstance(asr, EncoderASR):
            raise ConfigError(
                f"'{source}' is for {type(asr).__name__}, but joint training "
                "needs a recogniser with CTC, for EncoderASR: give another "
                "asr_source."
            )
        pretrainer = read_objects(self.source).get("pretrainer")
        if pretrainer and "paths" in pretrainer[1]:
            raise ConfigError(
                f"The YAML of '{source}' names the places of its files under "
                "'paths', so a trained copy would load the old ones: put the "
                "files into the folder and take 'paths' out."
            )
        self.encoder = asr.mods.encoder
        self.tokenizer = asr.tokenizer
        self.blank = _blank_index(asr, source)
        # In a tuple: their weights are the encoder's, and saved with it.
        self._loadables = (dict(asr.hparams.pretrainer.loadables),)
        rate = int(asr.audio_normalizer.sample_rate)
        self._resample = (
            Resample(int(sample_rate), rate) if rate != sample_rate else None,
        )
        self._case = min((str.lower, str.upper), key=self._unknown)
        self.train(self.training)

    def forward(self, waves, lengths):
        """Maps waveforms to log-probabilities.

        Arguments
        ---------
        waves : torch.Tensor
            [N, T] at the rate of ``sample_rate``.
        lengths : torch.Tensor
            [N], relative to T.

        Returns
        -------
        torch.Tensor
            [N, frames, tokens], float32.
        """
        resample = self._resample[0]
        if resample is not None:
            resample.to(waves.device)  # nothing is moved that is there
            waves = resample(waves)
        with self._differentiable(waves):
            scores = self.encoder(waves, lengths)
        # log_softmax leaves what is log-probabilities already.
        return F.log_softmax(scores.float(), dim=-1)

    def _differentiable(self, waves):
        """cuDNN has no backward pass of an RNN in evaluation mode."""
        if self.training or not (waves.is_cuda and torch.is_grad_enabled()):
            return contextlib.nullcontext()
        return torch.backends.cudnn.flags(enabled=False)

    def train(self, mode=True):
        """As in torch; normalisation of features stays in evaluation mode.

        Arguments
        ---------
        mode : bool
            Training mode wanted.

        Returns
        -------
        torch.nn.Module
            self
        """
        super().train(mode)
        for norm in self._norms():
            norm.eval()
        return self

    def _norms(self):
        return [m for m in self.modules() if isinstance(m, InputNormalization)]

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        for norm in self._norms():  # plain attributes, which torch passes by
            norm.glob_mean, norm.glob_std = (
                fn(norm.glob_mean),
                fn(norm.glob_std),
            )
        return self

    def tokens(self, text):
        """Turns a text into the targets of CTC.

        Arguments
        ---------
        text : str
            In any case and with any marks.

        Returns
        -------
        list of int
        """
        text = self._case(normalise_text(text))
        if isinstance(self.tokenizer, CTCTextEncoder):
            return list(self.tokenizer.encode_sequence(list(text)))
        return self.tokenizer.encode_as_ids(text)

    def _unknown(self, case):
        """How much of a text the tokenizer cannot write."""
        if isinstance(self.tokenizer, CTCTextEncoder):
            known = self.tokenizer.lab2ind
            return sum(letter not in known for letter in case(_PANGRAM))
        ids = self.tokenizer.encode_as_ids(case(_PANGRAM))
        return ids.count(self.tokenizer.unk_id())

    def texts(self, log_probs, lengths):
        """Reads the best path of each voice.

        Arguments
        ---------
        log_probs : torch.Tensor
            [N, frames, tokens].
        lengths : torch.Tensor
            [N], relative.

        Returns
        -------
        list of str
            [N], normalised (:func:`~avsep_sb.inference.text.normalise_text`).
        """
        paths = ctc_greedy_decode(log_probs, lengths, blank_id=self.blank)
        if isinstance(self.tokenizer, CTCTextEncoder):
            found = ["".join(self.tokenizer.decode_ndim(p)) for p in paths]
        else:
            found = [self.tokenizer.decode_ids(path) for path in paths]
        return [normalise_text(text) for text in found]

    def losses(self, log_probs, texts, lengths):
        """CTC loss of each voice.

        A text that cannot be said in so few frames gives 0 and no gradient.

        Arguments
        ---------
        log_probs : torch.Tensor
            [N, frames, tokens].
        texts : list of str
            [N].
        lengths : torch.Tensor
            [N], relative.

        Returns
        -------
        torch.Tensor
            [N], nats per token of the text.
        """
        tokens = [self.tokens(text) for text in texts]
        counts = torch.tensor([len(t) for t in tokens])
        frames = (lengths.float() * log_probs.shape[1]).round().int().cpu()
        loss = F.ctc_loss(
            log_probs.transpose(0, 1),
            torch.tensor(sum(tokens, []), device=log_probs.device),
            frames.clamp(min=1),
            counts,
            blank=self.blank,
            reduction="none",
            zero_infinity=True,
        )
        return loss / counts.clamp(min=1).to(loss)

    def export(self, dest):
        """Writes the folder again, with the present weights.

        Arguments
        ---------
        dest : str or Path
            The folder, whole or not at all; a recogniser that is there is
            replaced, and ``ConfigError`` is raised for anything else.

        Returns
        -------
        pathlib.Path
            ``dest``, for ``EncoderASR.from_hparams``.
        """
        dest = Path(dest)
        if dest.exists() and not (dest / "hyperparams.yaml").is_file():
            raise ConfigError(
                f"'{dest}' is there and no recogniser: move it away."
            )
        dest.parent.mkdir(parents=True, exist_ok=True)
        unfinished = dest.parent / f".{dest.name}.{os.getpid()}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            for file in self.source.iterdir():
                if file.is_file():
                    shutil.copyfile(file, unfinished / file.name)
            for name, part in self._loadables[0].items():
                # What has no weights was saved in a way of its own.
                if isinstance(part, nn.Module) and list(part.parameters()):
                    torch.save(cpu_state(part), unfinished / f"{name}.ckpt")
            card = CARD.format(source=self.source.name)
            (unfinished / "README.md").write_text(card, encoding="utf-8")
            if dest.exists():
                shutil.rmtree(dest)
            os.replace(unfinished, dest)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return dest


def _blank_index(asr, source):
    """Where the blank is among the tokens, by whatever tells."""
    decoding = asr.hparams.decoding_function
    if isinstance(decoding, functools.partial):
        if "blank_id" in decoding.keywords:
            return int(decoding.keywords["blank_id"])
    if hasattr(asr.hparams, "blank_index"):
        return int(asr.hparams.blank_index)
    if isinstance(asr.tokenizer, CTCTextEncoder):
        return int(asr.tokenizer.get_blank_index())
    raise ConfigError(
        f"The YAML of '{source}' does not tell the index of the blank: add "
        "'blank_index' to it."
    )
