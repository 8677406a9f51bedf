"""Fills the cache of lip embeddings once, before the first epoch.

What is there already is kept, so a run that was interrupted goes on; several
processes share the work.

Authors
 * avsep_sb contributors
"""

import torch
from speechbrain.utils.distributed import (
    ddp_barrier,
    get_rank,
    if_main_process,
    is_distributed_initialized,
)
from tqdm import tqdm

from avsep_sb.dataio.embedding_cache import EmbeddingCache, make_key
from avsep_sb.dataio.lips import crop_flip, read_lips
from avsep_sb.errors import ConfigError

#: keys that change the pixels of an item, and what to set them to
_CHANGES_PIXELS = {
    "random_crop": "False",
    "horizontal_flip": "False",
    "visual_augment": "null",
    "silent_target_prob": "0",
}


def open_cache(hparams):
    """The cache that a YAML asks for; refuses one that could not be right.

    Arguments
    ---------
    hparams : dict
        ``embedding_cache`` (a folder, or None), ``embedding_dtype``
        ("float32"), ``data_folder``, ``modules``, ``use_lips`` and what
        changes pixels.

    Returns
    -------
    EmbeddingCache or None
        None if none is asked for. ``ConfigError`` says what does not go with
        a cache.

    Example
    -------
    >>> open_cache({"embedding_cache": None}) is None
    True
    >>> open_cache({"embedding_cache": "x", "use_lips": False})
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: embedding_cache keeps what a visual front \
end makes of lips, but this model has none: leave it out.
    """
    folder = hparams.get("embedding_cache")
    if folder is None:
        return None
    frontend = hparams.get("modules", {}).get("visual_frontend")
    if frontend is None or not hparams["use_lips"]:
        raise ConfigError(
            "embedding_cache keeps what a visual front end makes of lips, but "
            "this model has none: leave it out."
        )
    if not getattr(frontend, "frozen", False):
        raise ConfigError(
            "embedding_cache keeps what a frozen front end makes of lips, but "
            "this one is trained and would make something else in each step: "
            "set freeze_frontend: True, or leave embedding_cache out."
        )
    for name, without in _CHANGES_PIXELS.items():
        if hparams.get(name):
            raise ConfigError(
                f"{name} changes the pixels of each item, but embedding_cache "
                "holds one embedding of each recording as it is: set "
                f"{name}: {without}, or leave embedding_cache out."
            )
    dtype = hparams.get("embedding_dtype") or "float32"
    return EmbeddingCache(folder, hparams["data_folder"], dtype)


def fill_cache(hparams, datasets, device="cpu", progress=True):
    """Embeds every mouth ROI of the datasets that is not in the cache yet.

    Arguments
    ---------
    hparams : dict
        As for :func:`open_cache`, and ``crop_size`` and ``video_fps``. The
        front end is in ``modules``, with its weights; it stays on ``device``.
    datasets : list of MixtureDataset
        Those of :func:`avsep_sb.dataio.pipeline.make_datasets`.
    device : str
        Where to compute.
    progress : bool
        Whether to show how far it is and how long it will take.

    Returns
    -------
    int
        How many this process has made. ``ConfigError`` is raised for a
        folder that was made by something else, ``DataError`` for a mouth ROI
        that cannot be read.
    """
    cache = open_cache(hparams)
    if cache is None:
        return 0
    frontend, crop_size = hparams["modules"]["visual_frontend"], None
    if hparams["crop_size"] is not None:
        crop_size = tuple(int(side) for side in hparams["crop_size"])
    fps = hparams["video_fps"]
    if if_main_process():
        cache.claim(make_key(frontend.cpu(), crop_size, fps, cache.dtype))
    ddp_barrier()
    rank, ranks = get_rank() or 0, 1
    if is_distributed_initialized():
        ranks = torch.distributed.get_world_size()
    paths = [p for p in lips_of(datasets)[rank::ranks] if not cache.holds(p)]
    frontend.to(device)
    hide = not progress or not paths or not if_main_process()
    for path in tqdm(paths, "lip embeddings", unit=" file", disable=hide):
        frames = crop_flip(read_lips(path, fps), crop_size)
        roi = torch.from_numpy(frames.copy())[None, None].to(device)
        with torch.no_grad():
            values = frontend(roi)[0, 0].float().cpu().numpy()
        cache.write(path, values)
    ddp_barrier()
    return len(paths)


def lips_of(datasets):
    """Lists the mouth ROIs of some datasets, each once.

    Arguments
    ---------
    datasets : list of MixtureDataset
        Their rows are looked at, not their items.

    Returns
    -------
    list of str
        Sorted paths.
    """
    return sorted(
        {
            value
            for dataset in datasets
            for row in dataset.data.values()
            for name, value in row.items()
            if name.endswith("_lips") and value
        }
    )
