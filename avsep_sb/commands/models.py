"""Loads the models that the commands work with.

Nothing heavy is imported before a model is asked for.

Authors
 * avsep_sb contributors
"""

from avsep_sb.errors import ConfigError


def models_of(args):
    """Loads the models that the options name.

    Arguments
    ---------
    args : argparse.Namespace
        The options of the command.

    Returns
    -------
    (AVSeparation or AudioOnlySeparation, object or None)
        As of :func:`load_models`; with ``--label-by-lips`` the second is the
        separator of the first, for recordings without faces.
    """
    if not args.label_by_lips:
        return load_models(args.source, args.audio_source, args.device)
    from avsep_sb.inference.audio_separation import AudioOnlySeparation
    from avsep_sb.inference.shipped import SYNC_MODEL

    check_device(args.device)
    model = AudioOnlySeparation.from_hparams(
        args.source,
        args.sync_source or SYNC_MODEL,
        run_opts={"device": args.device},
    )
    return model, model.voices


def load_models(source=None, audio_source=None, device="cpu"):
    """Loads the model of faces, and the one of sound alone beside it.

    Arguments
    ---------
    source : str or None
        Pretrained folder; None takes the shipped ``iianet-synthav``.
    audio_source : str or None
        One of an audio-only model; None takes the shipped
        ``iianet-synthav-audio``, or none if its rates differ.
    device : str
        Where they run.

    Returns
    -------
    (AVSeparation, AVSeparation or None)
        The second is None beside a model that needs no faces itself.
        ``CheckpointError`` is raised for a folder that cannot be loaded, and
        ``ConfigError`` for models that do not go together.
    """
    from avsep_sb.inference.fallback import check_rates
    from avsep_sb.inference.shipped import shipped_audio_model

    separator = load_separator(source, device)
    if not separator.sees:
        if audio_source is not None:
            raise ConfigError(
                "--source is an audio-only model itself; give one of the two."
            )
        return separator, None
    audio = load_separator(audio_source or shipped_audio_model(), device)
    if audio.sees:
        raise ConfigError(
            f"'{audio_source}' needs faces; name an audio-only model with "
            "--audio-source."
        )
    try:
        check_rates(separator, audio)
    except ConfigError:
        if audio_source is not None:
            raise
        audio = None
    return separator, audio


def load_separator(source=None, device="cpu"):
    """Loads a pretrained folder, or the checkpoint that ships.

    Arguments
    ---------
    source : str, Path or None
        The folder; None takes the shipped ``iianet-synthav``.
    device : str
        Where it runs.

    Returns
    -------
    AVSeparation
        ``CheckpointError`` is raised for a folder that cannot be loaded, and
        ``ConfigError`` for a device that is not there.
    """
    check_device(device)
    from avsep_sb.inference.separation import AVSeparation
    from avsep_sb.inference.shipped import shipped_model

    return AVSeparation.from_hparams(
        str(source or shipped_model()), run_opts={"device": device}
    )


def check_device(device):
    """Refuses a device that is not there.

    Arguments
    ---------
    device : str
        Such as "cpu" or "cuda".

    Returns
    -------
    None
        ``ConfigError`` is raised for one that torch cannot use here.
    """
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as err:
        raise ConfigError(
            f"the device '{device}' is not available here; use --device cpu."
        ) from err


def load_face_models(device="cpu"):
    """Loads what finds faces and tells them apart, once for all videos.

    Arguments
    ---------
    device : str
        Where the detector runs.

    Returns
    -------
    (FaceDetector, FaceDescriber)
    """
    from avsep_sb.vision.face_look import FaceDescriber
    from avsep_sb.vision.faces import FaceDetector

    return FaceDetector(device=device), FaceDescriber()
