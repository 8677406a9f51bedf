"""A tiny SepFormer with random weights, as SpeechBrain keeps them."""

import torch
from hyperpyyaml import load_hyperpyyaml

YAML = """\
sample_rate: {rate}
num_spks: {voices}
encoder: !new:speechbrain.lobes.models.dual_path.Encoder
    kernel_size: 16
    out_channels: 8
masknet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
    num_spks: !ref <num_spks>
    in_channels: 8
    out_channels: 8
    num_layers: 1
    K: 50
    intra_model: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
        num_layers: 1
        d_model: 8
        nhead: 2
        d_ffn: 16
        dropout: 0.0
    inter_model: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
        num_layers: 1
        d_model: 8
        nhead: 2
        d_ffn: 16
        dropout: 0.0
    norm: ln
    linear_layer_after_inter_intra: false
    skip_around_intra: true
decoder: !new:speechbrain.lobes.models.dual_path.Decoder
    in_channels: 8
    out_channels: 1
    kernel_size: 16
    stride: 8
    bias: false
modules:
    encoder: !ref <encoder>
    masknet: !ref <masknet>
    decoder: !ref <decoder>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <encoder>
        masknet: !ref <masknet>
        decoder: !ref <decoder>
"""


def write_sepformer(folder, rate=8000, voices=2):
    """A folder for ``SepformerSeparation.from_hparams``."""
    folder.mkdir(parents=True)
    text = YAML.format(rate=rate, voices=voices)
    (folder / "hyperparams.yaml").write_text(text)
    torch.manual_seed(0)
    modules = load_hyperpyyaml(text)["modules"]
    # Voices then have much of the mixture.
    modules["decoder"].weight.data = modules["encoder"].conv1d.weight.data
    for name, module in modules.items():
        torch.save(module.state_dict(), folder / f"{name}.ckpt")
    return folder
