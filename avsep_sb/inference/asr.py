"""What is said on each separated voice, by any recogniser of SpeechBrain.

Authors
 * avsep_sb contributors
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from speechbrain.inference.ASR import StreamingASR
from speechbrain.utils.dynamic_chunk_training import DynChunkTrainConfig
from speechbrain.utils.streaming import split_fixed_chunks
from torchaudio.transforms import Resample

from avsep_sb.errors import DataError

#: seconds over which the level of a source is measured
FRAME_S = 0.04
#: no word is as short as this, and no feature extractor takes less
SHORTEST_S = 0.1
#: frames of the encoder in a chunk, and chunks to its left that it attends to
STREAMING = DynChunkTrainConfig(chunk_size=24, left_context_size=8)


def transcribe_sources(
    asr,
    sources,
    sample_rate,
    wav_lens=None,
    batch_size=None,
    silence_db=-40.0,
    mix=None,
    streaming_config=STREAMING,
):
    """Transcribes separated voices.

    Arguments
    ---------
    asr : EncoderASR, EncoderDecoderASR, WhisperASR or StreamingASR
        One of :mod:`speechbrain.inference.ASR`, on any device.
    sources : torch.Tensor
        [B, T, S], as :meth:`AVSeparation.separate_batch` gives them, on any
        device. Levels are left as they are.
    sample_rate : int
        Hz of the sources; they are resampled to the recogniser's rate.
    wav_lens : torch.Tensor, optional
        [B], lengths relative to T; what lies beyond is not heard.
    batch_size : int, optional
        Voices per call of the recogniser; all at once if not given. With 1,
        a text cannot depend on the padding that longer voices ask for.
    silence_db : float
        A source whose loudest 40 ms are this far below the loudest of its
        reference is silent: its text is "", whatever a recogniser might
        read into what leaked through.
    mix : torch.Tensor, optional
        [B, T], the mixtures: the reference of the levels; without them it is
        the loudest source of each mixture.
    streaming_config : DynChunkTrainConfig
        Chunks of a ``StreamingASR``, which is fed one voice after another.

    Returns
    -------
    list of list of str
        ``texts[b][s]``, as the recogniser writes them; see
        :func:`avsep_sb.inference.text.normalise_text`. ``DataError`` tells
        what is wrong with the sources.

    Example
    -------
    >>> transcribe_sources(None, torch.zeros(1, 8000, 2), 8000)
    [['', '']]
    >>> transcribe_sources(None, torch.zeros(8000, 2), 8000)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: Sources are [B, T, S], not [8000, 2]; add the...
    """
    sources = _check_signals(sources, "Sources", "BTS")
    batch, _, count = sources.shape
    lengths = _sample_counts(sources, wav_lens)
    if batch_size is not None and batch_size < 1:
        raise DataError(
            f"batch_size is a number of voices, at least 1, not {batch_size}."
        )
    beyond = torch.arange(sources.shape[1], device=sources.device)
    heard = beyond < lengths.to(sources.device)[:, None]
    sources = sources.masked_fill(~heard[..., None], 0.0)
    voices = sources.transpose(1, 2)  # [B, S, T]
    levels = _loudest(voices, sample_rate)
    if mix is None:
        reference = levels.amax(1, keepdim=True)
    else:
        mix = _check_signals(mix, "Mixtures", "BT").to(sources.device)
        if mix.shape != sources.shape[:2]:
            raise DataError(
                f"Mixtures of {list(mix.shape)} do not belong to sources of "
                f"{list(sources.shape)}; give [B, T] of the same B and T."
            )
        reference = _loudest(mix.masked_fill(~heard, 0.0), sample_rate)[:, None]
    floor = reference * 10 ** (silence_db / 10)
    speaks = (levels > 0) & (levels >= floor)
    speaks &= (lengths >= SHORTEST_S * sample_rate).to(speaks.device)[:, None]
    rows = [(b, s) for b, s in speaks.nonzero().tolist()]
    texts = [[""] * count for _ in range(batch)]
    for first in range(0, len(rows), batch_size or max(1, len(rows))):
        part = rows[first : first + (batch_size or len(rows))]
        longest = max(int(lengths[b]) for b, _ in part)
        waves = torch.stack([voices[b, s, :longest] for b, s in part])
        relative = torch.stack([lengths[b] for b, _ in part]) / longest
        found = _transcribe(asr, waves, relative, sample_rate, streaming_config)
        for (b, s), text in zip(part, found, strict=True):
            texts[b][s] = text
    return texts


def _transcribe(asr, waves, relative, sample_rate, streaming_config):
    """Texts of waves [N, T] with relative lengths [N]."""
    wanted = int(asr.audio_normalizer.sample_rate)
    if wanted != sample_rate:
        waves = _resampler(int(sample_rate), wanted, waves.device)(waves)
    waves = waves.to(asr.device)
    if isinstance(asr, StreamingASR):
        sizes = (relative * waves.shape[1]).round().int().tolist()
        return [
            _transcribe_stream(asr, wave[None, :size], streaming_config)
            for wave, size in zip(waves, sizes, strict=True)
        ]
    words, _ = asr.transcribe_batch(waves, relative.to(asr.device))
    # WhisperASR gives lists of words where its YAML asks for normalised text.
    return [w if isinstance(w, str) else " ".join(w) for w in words]


def _transcribe_stream(asr, wave, config):
    """Text of one wave [1, T], in chunks, then silence until all is out.

    The tokens of all chunks become a text at the end: what SpeechBrain 1.1
    has for the tokens of one chunk fails with sentencepiece 0.2.2 and later.
    """
    size = asr.get_chunk_size_frames(config)
    extractor = asr.hparams.fea_streaming_extractor
    flush = extractor.get_recommended_final_chunk_count(size) * size
    context = asr.make_streaming_context(config)
    # Whole chunks: an encoder may refuse a last one of a few samples.
    wave = F.pad(wave, (0, -wave.shape[1] % size + flush))
    tokens = []
    with torch.no_grad():
        for chunk in split_fixed_chunks(wave, size):
            encoded = asr.encode_chunk(context, chunk)
            found = asr.hparams.decoding_function(
                encoded, context.decoder_context
            )
            tokens.extend(found[0])
    return asr.hparams.tokenizer.decode_ids(tokens)


@lru_cache(maxsize=8)
def _resampler(rate, wanted, device):
    """The resampler that SpeechBrain's AudioNormalizer uses, kept."""
    return Resample(rate, wanted).to(device)


def _loudest(signals, sample_rate):
    """Largest mean power over 40 ms of [..., T], of the whole if shorter."""
    size = min(signals.shape[-1], max(1, round(FRAME_S * sample_rate)))
    power = F.avg_pool1d(
        signals.square().flatten(0, -2)[:, None],
        size,
        stride=max(1, size // 2),
        ceil_mode=True,
    )
    return power.amax((1, 2)).reshape(signals.shape[:-1])


def _check_signals(signals, what, axes):
    signals = torch.as_tensor(signals).detach()
    if signals.ndim != len(axes) or 0 in signals.shape:
        raise DataError(
            f"{what} are [{', '.join(axes)}], not {list(signals.shape)}; add "
            "the missing dimension, and leave out what is empty."
        )
    signals = signals.float()
    if not torch.isfinite(signals).all():
        raise DataError(
            f"{what} hold NaN or infinite samples; replace them first."
        )
    return signals


def _sample_counts(sources, wav_lens):
    """Lengths in samples, int64 [B] on the CPU."""
    batch, time = sources.shape[:2]
    if wav_lens is None:
        return torch.full((batch,), time)
    wav_lens = torch.as_tensor(wav_lens).detach().cpu().double()
    if wav_lens.shape != (batch,):
        raise DataError(
            f"wav_lens are [{batch}], one for each mixture, not "
            f"{list(wav_lens.shape)}."
        )
    if not ((wav_lens > 0) & (wav_lens <= 1)).all():
        raise DataError(
            "wav_lens are relative, above 0 and up to 1, not "
            f"{wav_lens.max():g}: divide numbers of samples by T."
        )
    return (wav_lens * time).round().long().clamp(min=1)
