"""What a test run leaves behind: scores, audio samples and spectrograms.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import soundfile
from speechbrain.utils.logger import get_logger

from avsep_sb.figures import separation_figure
from avsep_sb.metrics import score_utterance
from avsep_sb.results import ResultsTable

logger = get_logger(__name__)


class RunResults:
    """Collects the utterances of a test as they come.

    Writes ``test_results.csv`` into the output folder, and for the first
    ``n_audio`` utterances the wavs (SpeechBrain's names, under
    ``save/audio_results``) and a spectrogram figure (``figures/``).

    Arguments
    ---------
    output_folder : str or Path
        The run's folder.
    sample_rate : int
        In Hz.
    metrics : sequence of str
        Names known to :func:`avsep_sb.metrics.score_utterance`.
    n_audio : int
        How many utterances to keep as sound and picture.
    writes : bool
        False on ranks other than the first, which only take part.
    """

    def __init__(
        self, output_folder, sample_rate, metrics, n_audio=0, writes=True
    ):
        self.folder = Path(output_folder)
        self.sample_rate = sample_rate
        self.metrics = tuple(metrics)
        self.n_audio = n_audio
        self.writes = writes
        self.count = 0
        if writes:
            path = self.folder / "test_results.csv"
            self.table = ResultsTable(path, overwrite=True)

    def add_batch(self, batch, estimate, lengths, scores=None):
        """Scores every utterance of a batch.

        Arguments
        ---------
        batch : PaddedBatch
            With ``id``, ``mix_sig [B, T]`` and ``sources [B, T, S]``.
        estimate : torch.Tensor
            Estimated sources in the order of the targets, ``[B, T, S]``.
        lengths : torch.Tensor
            Relative lengths, ``[B]``.
        scores : list of dict, optional
            [B], further columns of the table, such as a word error rate.
        """
        if not self.writes:
            return
        target, mix = batch.sources.data, batch.mix_sig.data
        for i, name in enumerate(batch.id):
            stop = int(round(float(lengths[i]) * mix.shape[1]))
            signals = [
                x[i, :stop].detach().float().cpu()
                for x in (mix, estimate, target)
            ]
            row = score_utterance(*signals, self.sample_rate, self.metrics)
            self.table.add(name, {**row, **(scores[i] if scores else {})})
            if self.count < self.n_audio:
                self._keep(name, *signals)
            self.count += 1

    def _keep(self, name, mix, estimate, target):
        audio = self.folder / "save" / "audio_results"
        audio.mkdir(parents=True, exist_ok=True)
        signals = {"mix": mix}
        for k in range(target.shape[1]):
            signals[f"source{k + 1}hat"] = estimate[:, k]
            signals[f"source{k + 1}"] = target[:, k]
        for part, signal in signals.items():
            soundfile.write(
                audio / f"item{name}_{part}.wav",
                signal.numpy(),
                self.sample_rate,
                subtype="FLOAT",  # nothing is clipped or scaled
            )
        figures = self.folder / "figures"
        figures.mkdir(exist_ok=True)
        separation_figure(
            mix.numpy(),
            estimate.numpy(),
            target.numpy(),
            self.sample_rate,
            figures / f"item{name}.png",
        )

    def finish(self):
        """Adds the mean and its 95 % interval, and logs where they are."""
        if self.writes:
            self.table.finish()
            logger.info("Test results are in %s", self.table.path)
