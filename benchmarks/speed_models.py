"""The models of ``speed.py``, by name and form.

A name is a training YAML of ours, with options in quotes if there are any, or
one of SpeechBrain's separators with the sizes of its WSJ0Mix recipe. Forms:
"ours" is the lobe, "plain" the same weights in ``benchmarks/plain``, "pipeline"
the visual front end and the lobe, "compiled" its layers, a cycle of them by
``torch.compile``, in place of the loops. Weights are random: they change no
cost.

Authors
 * avsep_sb contributors
"""

import copy

import torch
from candidates import Candidate
from plain.avlit import PlainAVLiT
from plain.bin import PlainBIN
from plain.iianet import PlainIIANet
from speechbrain.lobes.models import conv_tasnet, dual_path, resepformer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from training_step import random_batch, training_step

from avsep_sb.compiling import compile_repeated
from avsep_sb.errors import ConfigError
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN
from avsep_sb.lobes.iianet import IIANet

FORMS = ("ours", "plain", "pipeline")
SAMPLE_RATE = 16000


def plain_iianet(net):
    """The plain form of an IIANet, with its weights."""
    codec = net.codec
    plain = PlainIIANet(
        form="release" if net.bottom is None else "paper",
        out_channels=net.bottleneck.out_channels,
        in_channels=net.audio_bottom_up.project.conv.out_channels,
        vpre_channels=net.visual_projection.in_channels,
        vin_channels=net.visual_projection.out_channels,
        num_av_cycles=net.num_av_cycles,
        num_audio_cycles=net.num_cycles - net.num_av_cycles,
        depth=len(net.audio_bottom_up.scales),
        kernel_size=codec.kernel_size,
        stride=codec.stride,
        num_filters=codec.num_features,
        num_sources=net.num_sources,
        official_decoder=codec.joint > 1,
    )
    plain.load_state_dict(net.state_dict())
    return plain.eval()


def plain_form(net):
    """The plain form of a separator of ours, with its weights."""
    for kind, make in (
        (IIANet, plain_iianet),
        (BIN, PlainBIN),
        (AVLiT, PlainAVLiT),
    ):
        if isinstance(net, kind):
            try:
                return make(net)
            except (AttributeError, RuntimeError):
                # Weights that the papers' models do not have, or lack.
                break
    raise ConfigError(
        f"There is no plain form of this {type(net).__name__}: leave out "
        "--forms plain."
    )


def transformer(layers, channels, **options):
    """Layers of SepFormer, or of the class that is given."""
    kind = options.pop("kind", dual_path.SBTransformerBlock)
    return kind(
        num_layers=layers,
        d_model=channels,
        nhead=8,
        d_ffn=1024,
        dropout=0,
        use_positional_encoding=True,
        norm_before=True,
        **options,
    )


def sepformer(voices):
    """Mask network of the recipe's sepformer.yaml, and its channels."""
    return 256, dual_path.Dual_Path_Model(
        num_spks=voices,
        in_channels=256,
        out_channels=256,
        num_layers=2,
        K=250,
        intra_model=transformer(8, 256),
        inter_model=transformer(8, 256),
        norm="ln",
        linear_layer_after_inter_intra=False,
        skip_around_intra=True,
    )


def convtasnet(voices):
    """Mask network of the recipe's convtasnet.yaml, and its channels."""
    return 256, conv_tasnet.MaskNet(
        N=256,
        B=256,
        H=512,
        P=3,
        X=6,
        R=4,
        C=voices,
        norm_type="gLN",
        causal=True,
        mask_nonlinear="relu",
    )


def re_sepformer(voices):
    """Mask network of the recipe's resepformer.yaml, and its channels."""
    options = {
        "kind": resepformer.SBTransformerBlock_wnormandskip,
        "use_norm": True,
        "use_skip": True,
    }
    return 128, resepformer.ResourceEfficientSeparator(
        input_dim=128,
        num_spk=voices,
        causal=False,
        unit=256,
        segment_size=150,
        layer=2,
        mem_type="av",
        seg_model=transformer(8, 128, **options),
        mem_model=transformer(8, 128, **options),
    )


SPEECHBRAIN = {
    "SepFormer": sepformer,
    "ConvTasNet": convtasnet,
    "ReSepFormer": re_sepformer,
}


class SpeechBrainSeparator(nn.Module):
    """A separator of SpeechBrain, for a number of voices that is built in.

    Arguments
    ---------
    name : str
        One of ``SPEECHBRAIN``.
    voices : int
        Voices that come out.
    """

    def __init__(self, name, voices):
        super().__init__()
        channels, self.masknet = SPEECHBRAIN[name](voices)
        self.voices = voices
        self.encoder = dual_path.Encoder(kernel_size=16, out_channels=channels)
        self.decoder = dual_path.Decoder(
            channels, 1, kernel_size=16, stride=8, bias=False
        )

    def forward(self, mix, visual=None):
        """[B, T] to [B, T', voices], as the recipe does it."""
        encoded = self.encoder(mix)
        masked = self.masknet(encoded) * encoded
        voices = [self.decoder(one) for one in masked]
        return torch.stack(voices, -1)


class Runner:
    """One model in one form, and an input for it.

    Arguments
    ---------
    text : str
        The model; see the head of this file.
    form : str
        One of ``FORMS``; SpeechBrain's have "ours" alone.
    seconds : float
        Length of the mixture.
    faces : int
        Faces, or voices; SpeechBrain's models are built for two at least.
    """

    def __init__(self, text, form, seconds, faces):
        torch.manual_seed(0)
        self.frontend = None
        if text in SPEECHBRAIN:
            self.net = SpeechBrainSeparator(text, max(2, faces)).eval()
            self.mix = 0.1 * torch.randn(1, round(seconds * SAMPLE_RATE))
            self.visual = None
            return
        one = Candidate(text, seconds, faces)
        self.net = one.separator.eval()
        self.mix, self.visual = one.mix, one.visual[None]
        if form == "plain":
            self.net = plain_form(self.net)
        if form == "compiled":
            self.net.fast = False
            compile_repeated(self.net)
        if form == "pipeline":
            self.frontend, self.roi = one.frontend.eval(), one.roi[None]

    @torch.inference_mode()
    def __call__(self):
        """One pass; gives the voices."""
        visual = self.visual
        if self.frontend is not None:
            visual = self.frontend(self.roi)
        return self.net(self.mix, visual)

    def macs(self):
        """Multiply-accumulates of all products, as the form states them."""
        net = copy.deepcopy(self.net).to("meta")
        visual = None if self.visual is None else self.visual.to("meta")
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            net(self.mix.to("meta"), visual)
        return counter.get_total_flops() / 2


class StepRunner:
    """Training steps of one model on embeddings, in one form.

    Arguments
    ---------
    text : str
        A YAML with options.
    form : str
        "ours", "plain", or ours with "bf16" (autocast) or "compiled".
    seconds, faces
        As for :class:`Runner`.
    """

    def __init__(self, text, form, seconds, faces):
        one = Candidate(text, seconds, faces)
        net = self.net = one.separator
        if form == "plain":
            self.net = net = plain_form(net)
        modules = {"separator": net, "visual_frontend": nn.Identity()}
        batch = random_batch(1, one.num_samples, faces, one.visual)
        precision = "bf16" if form == "bf16" else "fp32"
        self.step = training_step(
            one.hparams,
            modules,
            batch,
            precision=precision,
            compile=form == "compiled",
        )

    def __call__(self):
        """One step; gives the loss."""
        return self.step()
