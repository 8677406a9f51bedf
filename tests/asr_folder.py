"""Tiny recognisers with random weights, in folders that SpeechBrain loads.

All four interfaces: ``ctc`` is an ``EncoderASR``, ``seq2seq`` an
``EncoderDecoderASR``, ``streaming`` a ``StreamingASR``, all of SpeechBrain's
own parts but for the streaming encoder; ``whisper`` is a ``WhisperASR`` around
:class:`ToyWhisper`, which writes how many tenths of a second it hears.
"""

from pathlib import Path

import numpy as np
import sentencepiece
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.dataio import length_to_mask
from speechbrain.decoders.ctc import filter_ctc_output

from avsep_sb.synth.text import grid_sentence, open_sentence

HEAD = """\
sample_rate: {rate}
audio_normalizer: !new:speechbrain.dataio.preprocess.AudioNormalizer
    sample_rate: {rate}
tokenizer: !new:sentencepiece.SentencePieceProcessor
fbank: !new:speechbrain.lobes.features.Fbank
    sample_rate: {rate}
    n_mels: 20
"""
ENCODER = """\
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    input_shape: [null, null, 20]
    features: !ref <fbank>
    norm: !new:speechbrain.processing.features.InputNormalization
        norm_type: sentence
    pool: !new:speechbrain.nnet.pooling.Pooling1d
        pool_type: avg
        kernel_size: 8
        stride: 8
    linear: !new:speechbrain.nnet.linear.Linear
        input_size: 20
        n_neurons: {size}
"""
END = """\
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        tokenizer: !ref <tokenizer>
        {weights}
"""
CTC = """\
    softmax: !new:speechbrain.nnet.activations.Softmax
        apply_log: True
decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: 0
modules:
    encoder: !ref <encoder>
"""
SEQ2SEQ = """\
embedding: !new:torch.nn.Embedding [{size}, 6]
rnn: !new:speechbrain.nnet.RNN.AttentionalRNNDecoder
    rnn_type: gru
    attn_type: content
    hidden_size: 8
    attn_dim: 8
    num_layers: 1
    enc_dim: {size}
    input_size: 6
linear: !new:speechbrain.nnet.linear.Linear
    input_size: 8
    n_neurons: {size}
decoder: !new:speechbrain.decoders.S2SRNNGreedySearcher
    embedding: !ref <embedding>
    decoder: !ref <rnn>
    linear: !ref <linear>
    bos_index: 1
    eos_index: 2
    min_decode_ratio: 0
    max_decode_ratio: 1
modules:
    encoder: !ref <encoder>
    decoder: !ref <decoder>
"""
STREAMING = """\
fea_streaming_extractor: !new:speechbrain.lobes.features.StreamingFeatureWrapper
    module: !new:speechbrain.nnet.containers.LengthsCapableSequential
        input_shape: [null, null]
        features: !ref <fbank>
    properties: !new:speechbrain.utils.filter_analysis.FilterProperties
        window_size: {window}
        stride: {hop}
enc: !new:tests.asr_folder.ToyStreamingEncoder
proj_enc: !new:speechbrain.nnet.linear.Linear
    input_size: 20
    n_neurons: {size}
make_decoder_streaming_context: !name:builtins.list
decoding_function: !name:tests.asr_folder.decode_chunk
make_tokenizer_streaming_context: !name:speechbrain.tokenizers.SentencePiece.\
SentencePieceDecoderStreamingContext
tokenizer_decode_streaming: !name:speechbrain.tokenizers.SentencePiece.\
spm_decode_preserve_leading_space
modules:
    enc: !ref <enc>
    proj_enc: !ref <proj_enc>
"""
WHISPER = """\
language: en
normalized_transcripts: {normalised}
whisper: !new:tests.asr_folder.ToyWhisper
    sample_rate: {rate}
decoder: !new:tests.asr_folder.ToyWhisperDecoder
modules:
    whisper: !ref <whisper>
    decoder: !ref <decoder>
"""
BODIES = {
    "ctc": (ENCODER + CTC, "encoder"),
    "seq2seq": (ENCODER + SEQ2SEQ, "encoder decoder"),
    "streaming": (STREAMING, "proj_enc"),
    "whisper": (WHISPER, ""),
}


class ToyStreamingEncoder(torch.nn.Module):
    """Averages eight frames, each chunk for itself."""

    def make_streaming_context(self, config):
        return {"config": config, "chunks": 0}

    def forward_streaming(self, features, context):
        context["chunks"] += 1
        return torch.nn.functional.avg_pool1d(features.mT, 8).mT


def decode_chunk(scores, context):
    """Greedy CTC of one chunk; what was heard is kept."""
    tokens = [filter_ctc_output(row.tolist(), 0) for row in scores.argmax(-1)]
    context.extend(tokens)
    return tokens


class ToyTokenizer:
    """The part of a Whisper tokenizer that ``WhisperASR`` calls."""

    def decode(self, tokens, skip_special_tokens=True):
        return " Tenths, " + " ".join(str(token) for token in tokens) + "."

    def normalize(self, text):
        return text.replace(",", "").replace(".", "").lower()


class ToyWhisper(torch.nn.Module):
    """What ``WhisperASR`` asks of its network, without a network."""

    def __init__(self, sample_rate):
        super().__init__()
        self.hop = sample_rate // 10
        self.tokenizer = ToyTokenizer()

    def _get_mel(self, waves):
        return waves.unfold(1, self.hop, self.hop).square().mean(2)

    def forward_encoder(self, mel):
        return mel


class ToyWhisperDecoder(torch.nn.Module):
    """Counts the frames in which something is heard."""

    def forward(self, encoded, wav_lens):
        mask = length_to_mask(
            (wav_lens * encoded.shape[1]).round(), encoded.shape[1]
        )
        heard = ((encoded > 1e-6) & (mask > 0)).sum(1)
        return [[int(count)] for count in heard], None, None, None


def make_toy_asr(folder, kind="ctc", sample_rate=16000, normalised=False):
    """Writes a tiny recogniser with random weights.

    Arguments
    ---------
    folder : str or Path
        Made if it is absent.
    kind : str
        ``ctc``, ``seq2seq``, ``streaming`` or ``whisper``.
    sample_rate : int
        Hz that the recogniser works at.
    normalised : bool
        Whether the Whisper kind gives lists of words.

    Returns
    -------
    Path
        ``folder``, for ``from_hparams`` or
        :func:`avsep_sb.inference.asr_load.load_asr`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = _write_tokenizer(folder / "tokenizer.ckpt")
    body, names = BODIES[kind]
    text = (HEAD + body).format(
        rate=sample_rate,
        size=size,
        window=sample_rate * 25 // 1000,
        hop=sample_rate // 100,
        normalised=normalised,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        objects = load_hyperpyyaml(text)
    for name in names.split():
        torch.save(objects[name].state_dict(), folder / f"{name}.ckpt")
    weights = "\n        ".join(f"{n}: !ref <{n}>" for n in names.split())
    text += END.format(weights=weights)
    (folder / "hyperparams.yaml").write_text(text, encoding="utf-8")
    return folder


def _write_tokenizer(path):
    """A tokenizer of 60 pieces; 0 is unknown and the blank, 1 and 2 are
    beginning and end."""
    rng = np.random.default_rng(0)
    texts = [say(rng) for say in (grid_sentence, open_sentence) * 100]
    with open(path, "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text.lower() for text in texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=60,
            minloglevel=2,
        )
    return 60
