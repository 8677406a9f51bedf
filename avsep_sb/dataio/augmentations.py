"""What is added to mixtures, as the hyperparameters say: noise, rooms, faults.

Authors
 * avsep_sb contributors
"""

from avsep_sb.dataio.draws import SharedEpoch
from avsep_sb.dataio.noise import NoiseFolder
from avsep_sb.dataio.rooms import RirFolder
from avsep_sb.dataio.visual_augment import VisualAugment
from avsep_sb.errors import ConfigError

_NOISE = {
    "train": "noise_folder",
    "valid": "valid_noise_folder",
    "test": "test_noise_folder",
}
_ROOMS = {
    "train": "rir_folder",
    "valid": "valid_rir_folder",
    "test": "test_rir_folder",
}


def make_noise(hparams, length=None, epoch=None, split="train"):
    """The noise of one split.

    Arguments
    ---------
    hparams : dict
        ``noise_folder`` (of dynamic mixtures in training),
        ``valid_noise_folder``, ``test_noise_folder`` (of listed mixtures:
        each has the same noise in every epoch), ``noise_snr_db``,
        ``noise_probability``, ``seed``, ``sample_rate``, ``dynamic_mixing``.
    length : int, optional
        Samples of every item, where that is known.
    epoch : SharedEpoch, optional
        The clock, in training.
    split : str
        "train", "valid" or "test".

    Returns
    -------
    NoiseFolder or None
        None without a folder. ``ConfigError`` names an unusable key.

    Example
    -------
    >>> make_noise({"noise_snr_db": [0, 5]})
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: noise_snr_db or noise_probability is set, but \
noise_folder is not: name a folder of noises, or set both to null.
    """
    folder = hparams.get(_NOISE[split])
    snr_db = hparams.get("noise_snr_db")
    share = hparams.get("noise_probability")
    if folder is None:
        asked = snr_db is not None or share is not None
        if asked and not _any(hparams, _NOISE):
            raise ConfigError(
                "noise_snr_db or noise_probability is set, but noise_folder "
                "is not: name a folder of noises, or set both to null."
            )
        return None
    if split == "train":
        _check_dynamic(
            hparams,
            "noise_folder adds noise to dynamic mixtures: set "
            "dynamic_mixing: True, or list the noise in the manifest.",
        )
    return NoiseFolder(
        folder,
        snr_db,
        hparams["seed"],
        epoch,
        1.0 if share is None else share,
        hparams["sample_rate"],
        length,
    )


def make_rooms(hparams, epoch=None, split="train"):
    """The rooms of one split.

    Arguments
    ---------
    hparams : dict
        ``rir_folder`` (of dynamic mixtures in training),
        ``valid_rir_folder``, ``test_rir_folder`` (of listed mixtures),
        ``reverb_probability`` (1), ``reverb_target`` (clean), ``seed``,
        ``sample_rate``, ``dynamic_mixing``.
    epoch : SharedEpoch, optional
        The clock, in training.
    split : str
        "train", "valid" or "test".

    Returns
    -------
    RirFolder or None
        None without a folder. ``ConfigError`` names an unusable key.

    Example
    -------
    >>> make_rooms({"rir_folder": None}) is None
    True
    """
    folder = hparams.get(_ROOMS[split])
    share = hparams.get("reverb_probability")
    target = hparams.get("reverb_target")
    if folder is None:
        asked = share is not None or target is not None
        if asked and not _any(hparams, _ROOMS):
            raise ConfigError(
                "reverb_probability or reverb_target is set, but rir_folder "
                "is not: name a folder of impulse responses, or set both to "
                "null."
            )
        return None
    if split == "train":
        _check_dynamic(
            hparams,
            "rir_folder puts rooms around the voices of dynamic mixtures: set "
            "dynamic_mixing: True.",
        )
    return RirFolder(
        folder,
        hparams["seed"],
        SharedEpoch() if epoch is None else epoch,
        1.0 if share is None else share,
        "clean" if target is None else target,
        hparams["sample_rate"],
    )


def check_listed(rows, noise, rooms, path, enhances=False):
    """Refuses noise twice, none at all, and rooms around what is mixed.

    Arguments
    ---------
    rows : iterable of dict
        A manifest.
    noise : NoiseFolder or None
        Adds noise to its mixtures.
    rooms : RirFolder or None
        Puts rooms around its voices.
    path : str or Path
        The manifest, for the message of the ``ConfigError``.
    enhances : bool
        Whether one voice in noise is trained on: without noise there would
        be nothing to do.

    Example
    -------
    >>> check_listed([{"mix_wav": "a.wav"}], None, None, "valid.csv")
    """
    for row in rows:
        changed = noise or rooms or row["mix_wav"] or row.get("noise_wav")
        if enhances and not changed:
            raise ConfigError(
                f"the mixtures of {path} are one clean voice each, with "
                "nothing to take away: set valid_noise_folder and "
                "test_noise_folder, or list noise in the manifest."
            )
        if noise is not None and row.get("noise_wav"):
            raise ConfigError(
                f"the mixtures of {path} have noise, and a noise folder would "
                "add another: set the folder to null."
            )
        if rooms is not None and row["mix_wav"]:
            raise ConfigError(
                f"the mixtures of {path} are ready recordings, whose voices "
                "cannot be put into rooms: set the folder of impulse "
                "responses to null."
            )


def make_visual_augment(hparams):
    """What is wrong with the faces in training.

    Arguments
    ---------
    hparams : dict
        ``visual_augment`` and ``use_lips``.

    Returns
    -------
    VisualAugment or None
        ``ConfigError`` is raised for anything else.

    Example
    -------
    >>> make_visual_augment({"visual_augment": None})
    """
    augment = hparams.get("visual_augment")
    if augment is None:
        return None
    if not isinstance(augment, VisualAugment):
        raise ConfigError(
            f"visual_augment is {augment!r} but must be an object: write "
            "'visual_augment: !new:avsep_sb.dataio.visual_augment."
            "VisualAugment' and its arguments below."
        )
    if not hparams["use_lips"]:
        raise ConfigError(
            "visual_augment changes the lips, but use_lips is False: set "
            "use_lips: True, or visual_augment: null."
        )
    return augment


def check_frozen(augment, silence, frames):
    """A picture that stands still throughout must not mean two things.

    Arguments
    ---------
    augment : VisualAugment
        May freeze faces.
    silence : SilentTargets
        May have silent faces at rest.
    frames : int
        Frames of an item; ``ConfigError`` is raised if all may be frozen.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> check_frozen(VisualAugment(), SimpleNamespace(silent_prob=0.5), 50)
    """
    longest = augment.frozen_frames[1]
    if augment.frozen_prob and silence.silent_prob and longest >= frames:
        raise ConfigError(
            f"frozen_frames goes up to {longest}, all {frames} frames of an "
            "item: a face that speaks would look like a silent one at rest, "
            f"so keep it below {frames}."
        )


def _any(hparams, keys):
    return any(hparams.get(key) for key in keys.values())


def _check_dynamic(hparams, message):
    if not hparams["dynamic_mixing"]:
        raise ConfigError(message)
