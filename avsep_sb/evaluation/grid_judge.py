"""An independent judge of GRID's sentences: pocketsphinx with their grammar.

It was trained by others on other speech, knows nothing of our separators, and
runs fifty times faster than real time on one core. The grammar holds all
sentences of GRID and no other, so that its rates are lower than those of an
open recogniser: compare sounds by it, not recognisers.

Authors
 * avsep_sb contributors
"""

import os
from types import SimpleNamespace

import torch

from avsep_sb.dataio.grid_names import GRID
from avsep_sb.errors import ConfigError

#: what ``--asr`` calls it
NAME = "pocketsphinx-grid"
_RATE = 16000


def grammar():
    """The sentences of GRID, as a JSGF grammar.

    Returns
    -------
    str

    Example
    -------
    >>> grammar().splitlines()[-1]
    '<w5> = again | now | please | soon;'
    """
    rules = [f"<w{k}> = {' | '.join(words)};" for k, words in enumerate(GRID)]
    parts = " ".join(f"<w{k}>" for k in range(len(GRID)))
    head = ["#JSGF V1.0;", "grammar grid;", f"public <sentence> = {parts};"]
    return "\n".join([*head, *rules])


class GridJudge:
    """Transcribes GRID's sentences; has what ``transcribe_sources`` asks for.

    Example
    -------
    >>> GridJudge.name
    'pocketsphinx-grid'
    """

    name = NAME

    def __init__(self):
        try:
            import pocketsphinx
        except ImportError as err:
            raise ConfigError(
                f"{NAME} needs pocketsphinx: pip install pocketsphinx."
            ) from err
        self.audio_normalizer = SimpleNamespace(sample_rate=_RATE)
        self.device = "cpu"
        model = pocketsphinx.get_model_path()
        self._decoder = pocketsphinx.Decoder(
            hmm=os.path.join(model, "en-us", "en-us"),
            dict=os.path.join(model, "en-us", "cmudict-en-us.dict"),
            lm=None,
            samprate=_RATE,
            cmn="batch",
            loglevel="FATAL",
        )
        self._decoder.add_jsgf_string("grid", grammar())
        self._decoder.activate_search("grid")

    def transcribe_batch(self, waves, wav_lens):
        """Transcribes sounds, one after another.

        Arguments
        ---------
        waves : torch.Tensor
            [B, T] at 16 kHz.
        wav_lens : torch.Tensor
            [B], relative to T.

        Returns
        -------
        (list of str, None)
            The sentences; "" where none fits. They do not depend on each
            other, nor on the level of a sound.
        """
        texts = []
        for wave, part in zip(waves, wav_lens, strict=True):
            wave = wave[: round(float(part) * len(wave))].cpu().float()
            wave = wave * (0.5 / wave.abs().max().clamp(min=1e-9))
            data = (wave * 32767).to(torch.int16).numpy().tobytes()
            self._decoder.start_utt()
            self._decoder.process_raw(data, full_utt=True)
            self._decoder.end_utt()
            found = self._decoder.hyp()
            texts.append("" if found is None else found.hypstr)
        return texts, None
