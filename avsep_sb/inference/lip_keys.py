"""Names of the published lip readers' weights, and ours.

The trunk (``frontend3D``, ``trunk``) has the same names in both. The temporal
networks MS-TCN and DC-TCN are renamed; the word classifier, which separation
has no use for, is left out.

Authors
 * avsep_sb contributors
"""

import re

from avsep_sb.errors import CheckpointError

# First names by which a temporal network is known: theirs, then ours.
MARKS = {
    "lip_mstcn": ("tcn.mb_ms_tcn.", "tcn.blocks.0.first."),
    "lip_dctcn": ("tcn.tcn_trunk.features.", "tcn.transitions."),
}
CLASSIFIER = ("tcn_output.", "tcn.tcn_output.")
STEPS = {"first": "0", "second": "1"}
MS_PARTS = {"conv": "conv", "norm": "batchnorm", "act": "non_lin"}
# The third of the four is the cut of the padding, without weights.
DC_PARTS = {"conv": "net.0", "norm": "net.1", "act": "net.3"}
GATE_PARTS = {"reduce": "fc.0", "expand": "fc.2"}
SLOPES = ".relu1."


def kind_of(names):
    """Tell which lip reader weights are of, by their names.

    Arguments
    ---------
    names : iterable of str
        Of the file, with the published names or with ours.

    Returns
    -------
    str
        ``"lip_mstcn"``, ``"lip_dctcn"``, or ``"lip_resnet"`` where there is
        no temporal network.

    Example
    -------
    >>> kind_of(["trunk.a", "tcn.tcn_trunk.features.norm5.bias"])
    'lip_dctcn'
    """
    for name in names:
        for kind, marks in MARKS.items():
            if name.startswith(marks):
                return kind
    return "lip_resnet"


def without_classifier(state):
    """Leave out the word classifier.

    Arguments
    ---------
    state : dict
        Names to tensors.

    Returns
    -------
    dict

    Example
    -------
    >>> without_classifier({"tcn.tcn_output.bias": 0, "tcn.a": 1})
    {'tcn.a': 1}
    """
    return {k: v for k, v in state.items() if not k.startswith(CLASSIFIER)}


def without_tcn(state):
    """Leave out the temporal network and the classifier.

    Arguments
    ---------
    state : dict
        Names to tensors.

    Returns
    -------
    dict

    Example
    -------
    >>> without_tcn({"trunk.a": 0, "tcn.a": 1, "tcn_output.bias": 2})
    {'trunk.a': 0}
    """
    return {
        k: v for k, v in state.items() if not k.startswith(("tcn.", "tcn_"))
    }


def ours_to_official(state):
    """Give weights the published names.

    Arguments
    ---------
    state : dict
        Our names, of a LipResNet, LipMSTCN or LipDCTCN, to tensors.

    Returns
    -------
    dict
        Published names to the same tensors, in the same order.

    Example
    -------
    >>> names = ("tcn.transitions.0.act.weight",
    ...     "tcn.blocks.0.1.first.gates.2.reduce.weight",
    ...     "tcn.blocks.3.2.second.scales.0.conv.bias")
    >>> for name in ours_to_official(dict.fromkeys(names)):
    ...     print(name)
    tcn.tcn_trunk.features.transition0.prelu.weight
    tcn.tcn_trunk.features.denseblock1.denselayer2.cbcr0_se_2.fc.0.weight
    tcn.tcn_trunk.features.denseblock4.denselayer3.cbcr1_0.net.0.bias
    """
    rename = {
        "lip_mstcn": _ms_name,
        "lip_dctcn": _dc_name,
        "lip_resnet": str,
    }[kind_of(state)]
    return {rename(name): value for name, value in state.items()}


def _ms_name(name):
    part = re.fullmatch(
        r"tcn\.blocks\.(\d+)\.(\w+)\.scales\.(\d+)\.(\w+)\.(\w+)", name
    )
    if part:
        block, step, scale, layer, end = part.groups()
        return (
            f"tcn.mb_ms_tcn.network.{block}.cbcr{STEPS[step]}_{scale}."
            f"{MS_PARTS[layer]}.{end}"
        )
    part = re.fullmatch(r"tcn\.blocks\.(\d+)\.(shortcut|act)\.(\w+)", name)
    if part:
        block, layer, end = part.groups()
        return f"tcn.mb_ms_tcn.network.{block}.{_outer(layer)}.{end}"
    return name


def _dc_name(name):
    root = "tcn.tcn_trunk.features"
    part = re.fullmatch(r"tcn\.transitions\.(\d+)\.(\w+)\.(\w+)", name)
    if part:
        index, layer, end = part.groups()
        layer = "prelu" if layer == "act" else layer
        return f"{root}.transition{index}.{layer}.{end}"
    part = re.fullmatch(r"tcn\.blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)", name)
    if part:
        block, layer, rest, end = part.groups()
        place = f"{root}.denseblock{int(block) + 1}.denselayer{int(layer) + 1}"
        return f"{place}.{_dense_part(rest)}.{end}"
    return name.replace("tcn.norm.", f"{root}.norm5.")


def _dense_part(rest):
    names = rest.split(".")
    if len(names) == 1:
        return _outer(rest)
    step, kind, scale, layer = names
    if kind == "gates":
        return f"cbcr{STEPS[step]}_se_{scale}.{GATE_PARTS[layer]}"
    return f"cbcr{STEPS[step]}_{scale}.{DC_PARTS[layer]}"


def _outer(layer):
    return "downsample" if layer == "shortcut" else "relu_final"


def infer_lip_args(state, given, model):
    """Find the arguments of a lip reader that fit its weights.

    Arguments
    ---------
    state : dict
        Published names to tensors.
    given : dict
        Arguments that win over what the weights tell: ``relu_type`` (a net
        without slopes is taken to have swish, and a DC-TCN's ``dilations``
        to be those of the paper, as weights do not tell), ``embedding``,
        ``crop``, ``frozen``, ``dropout``.
    model : str
        ``"lip_mstcn"`` or ``"lip_dctcn"``.

    Returns
    -------
    dict
        Keyword arguments of our class. A CheckpointError is raised for the
        weights of another lip reader, and for those that were told where the
        word begins and ends.

    Example
    -------
    >>> infer_lip_args({"trunk.layer1.0.relu1.weight": 0}, {}, "lip_mstcn")
    {'relu_type': 'prelu', 'embedding': 'trunk'}
    """
    kind = kind_of(state)
    slopes = any(SLOPES in name for name in state)
    args = {
        "relu_type": "prelu" if slopes else "swish",
        "embedding": "trunk" if kind == "lip_resnet" else "tcn",
        **given,
    }
    if args["embedding"] == "trunk" or kind == "lip_resnet":
        return args
    refuse_another(state, model)
    sizes = _sizes_ms if model == "lip_mstcn" else _sizes_dc
    return {**sizes(state), **args}


def refuse_another(names, model):
    """Refuse the weights of another lip reader than is wanted.

    Arguments
    ---------
    names : iterable of str
        Of the file.
    model : str
        ``"lip_mstcn"`` or ``"lip_dctcn"``; a CheckpointError is raised when
        the file has the temporal network of the other.

    Example
    -------
    >>> refuse_another(["tcn.mb_ms_tcn.network"], "lip_mstcn")
    """
    kind = kind_of(names)
    if kind not in (model, "lip_resnet"):
        raise CheckpointError(
            f"The checkpoint is a {kind} and not a {model}: give the file of "
            f"that lip reader, or use hparams with {kind.split('_')[1]} in "
            "their name."
        )


def _shape(state, name):
    if name not in state:
        raise CheckpointError(
            f"The checkpoint is not a whole lip reader - missing keys: {name}; "
            "give the complete file of that model."
        )
    return tuple(state[name].shape)


def _count(state, pattern):
    found = (re.match(pattern, name) for name in state)
    return len({part[1] for part in found if part})


def _sizes_ms(state):
    root = "tcn.mb_ms_tcn.network"
    scales = _count(state, rf"{re.escape(root)}\.0\.cbcr0_(\d+)\.")
    shapes = [
        _shape(state, f"{root}.0.cbcr0_{k}.conv.weight") for k in range(scales)
    ]
    return {
        "channels": sum(shape[0] for shape in shapes),
        "num_layers": _count(state, rf"{re.escape(root)}\.(\d+)\."),
        "kernel_sizes": [shape[2] for shape in shapes],
    }


def _sizes_dc(state):
    root = "tcn.tcn_trunk.features"
    reduced, width, _ = _shape(state, f"{root}.transition0.conv.weight")
    trunk = _shape(state, "trunk.layer4.1.conv2.weight")[0]
    if width == trunk + 1:
        raise CheckpointError(
            "The checkpoint was trained with the bounds of each word as "
            "another input, which are not known where speech is separated: "
            "give the one without, or take the embedding of the trunk."
        )
    first = f"{root}.denseblock1.denselayer1.cbcr0_"
    scales = _count(state, rf"{re.escape(first)}(\d+)\.net\.")
    shapes = [_shape(state, f"{first}{k}.net.0.weight") for k in range(scales)]
    blocks = _count(state, rf"{re.escape(root)}\.denseblock(\d+)\.")
    return {
        "num_layers": [
            _count(
                state, rf"{re.escape(root)}\.denseblock{i}\.denselayer(\d+)\."
            )
            for i in range(1, blocks + 1)
        ],
        "growth": sum(shape[0] for shape in shapes),
        "reduced_channels": reduced,
        "kernel_sizes": [shape[2] for shape in shapes],
        "squeeze_excitation": any("_se_" in name for name in state),
    }
