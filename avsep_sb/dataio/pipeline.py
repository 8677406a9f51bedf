"""Datasets of mixtures with the mouths of their speakers, for SpeechBrain.

An item has ``id``, ``mix_sig`` [T], ``sources`` [T, S] and ``lips``
[Tv, S, H, W] uint8: time is dim 0, which is the one that ``PaddedBatch`` pads.
With ``visual_augment`` it has ``lips_mask`` [Tv, S] bool, False where a face
is missing. With ``use_texts`` it has ``texts``, a list of what each source
says: "" for a silent one, None for one that is cut.

Authors
 * avsep_sb contributors
"""

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes
from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.augmentations import (
    check_frozen,
    check_listed,
    make_noise,
    make_rooms,
    make_visual_augment,
)
from avsep_sb.dataio.draws import SharedEpoch, row_sources
from avsep_sb.dataio.embedding_fill import open_cache
from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.manifest import check_manifest, columns
from avsep_sb.dataio.mixing import Mixer
from avsep_sb.dataio.silence import make_silence
from avsep_sb.dataio.speakers import read_min_spks
from avsep_sb.dataio.texts import check_whole, fill_texts, text_columns
from avsep_sb.errors import ConfigError

logger = get_logger(__name__)

_REQUIRED = (
    "data_folder train_data valid_data test_data sample_rate video_fps "
    "num_spks training_signal_len dynamic_mixing seed crop_size random_crop "
    "horizontal_flip use_lips"
).split()


class MixtureDataset(DynamicItemDataset):
    """A dataset whose random choices follow the epoch.

    Arguments
    ---------
    data : dict
        Manifest rows by ID.
    epoch : SharedEpoch
        The clock, shared with the workers and with filtered copies.
    count_of : callable, optional
        Takes an ID; the number of speakers of that item in the present
        epoch. Only where they differ: batches must then hold items of one
        number (:class:`avsep_sb.dataio.speakers.SameCountBatches`).
    counts : int
        How many different numbers there are.

    Example
    -------
    >>> data = MixtureDataset({"a": {"duration": 1.0}}, SharedEpoch())
    >>> data.set_epoch(2)
    >>> data.filtered_sorted(sort_key="duration").epoch.get()
    2
    """

    def __init__(self, data, epoch, count_of=None, counts=1):
        super().__init__(data)
        self.epoch = epoch
        self.count_of = count_of
        self.counts = counts

    def set_epoch(self, epoch):
        """Tells all workers, also running ones, the epoch (int)."""
        self.epoch.set(epoch)

    def filtered_sorted(self, *args, **kwargs):
        """As in SpeechBrain; the result keeps the clock."""
        return self._with_clock(super().filtered_sorted(*args, **kwargs))

    def overfit_test(self, *args, **kwargs):
        """As in SpeechBrain; the result keeps the clock."""
        return self._with_clock(super().overfit_test(*args, **kwargs))

    def _with_clock(self, subset):
        subset.epoch, subset.set_epoch = self.epoch, self.set_epoch
        subset.count_of, subset.counts = self.count_of, self.counts
        return subset


def make_datasets(hparams):
    """Builds the three datasets that a Brain trains and evaluates on.

    Training items are one random window of ``training_signal_len`` samples
    (zeros and the last frame fill up a shorter utterance), mixed anew in each
    epoch with ``dynamic_mixing``. Validation and test items are the listed
    mixtures, whole, or their first ``valid_signal_len`` samples. Listed
    mixtures have the noise that the manifest lists. Dynamic mixtures have a
    window of a file of ``noise_folder``, whose RMS is by a level drawn from
    ``noise_snr_db`` below the active level of all voices together; the
    targets stay clean.

    Arguments
    ---------
    hparams : dict
        Read are ``data_folder``, ``train_data``, ``valid_data`` and
        ``test_data`` (manifests), ``sample_rate`` (Hz), ``video_fps`` (Hz),
        ``num_spks``, ``training_signal_len`` (samples, a multiple of the
        samples per frame; None or 0 for whole utterances), ``dynamic_mixing``,
        ``mix_gain_db`` (with dynamic mixing), ``seed``, ``crop_size``
        ([H, W] or None), ``random_crop``, ``horizontal_flip``, ``use_lips``;
        if present also ``min_spks`` (mixtures then have from so many to
        ``num_spks`` speakers, as dynamic mixing draws or manifests list
        them), ``same_voice_ratio`` (0), ``valid_signal_len``
        (samples, None for all), and for noise in dynamic mixing
        ``noise_folder`` (searched recursively for wav, flac and ogg of this
        sample rate; None for no noise), ``noise_snr_db`` ([lowest, highest]
        in dB) and ``noise_probability`` (1, the share of noisy mixtures),
        for faces as videos have them ``visual_augment`` (an object,
        :class:`avsep_sb.dataio.visual_augment.VisualAugment`), for rooms in
        dynamic mixing (:mod:`avsep_sb.dataio.rooms`) ``rir_folder`` (None for
        none), ``reverb_probability`` (1) and ``reverb_target`` ("clean" or
        "early"), and for
        silence in dynamic mixing (:mod:`avsep_sb.dataio.silence`)
        ``silent_target_prob``, ``silent_moving_prob``,
        ``silent_pausing_prob`` and
        ``offscreen_voice_prob`` (0; the mixture is then more than its sources,
        and the loss needs ``silent``). All of it is for training items alone.
        ``embedding_cache`` (a folder) reads embeddings in place of lips, see
        :func:`avsep_sb.dataio.embedding_fill.open_cache`.
        ``valid_noise_folder``, ``test_noise_folder``, ``valid_rir_folder``
        and ``test_rir_folder`` do the same to listed mixtures, which are
        drawn once and for all by (seed, ID).
        ``use_texts`` (False) gives what is said, by the manifests' ``s*_text``;
        items are then whole utterances, and dynamic mixtures last as long as
        their longest voice.

    Returns
    -------
    (MixtureDataset, MixtureDataset, MixtureDataset)
        For training, validation and test. Call ``set_epoch`` of the first
        before each epoch. ``ConfigError`` names a missing or unusable key;
        ``DataError`` names missing files.

    Example
    -------
    >>> make_datasets({})
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: the hyperparameters lack data_folder, which \
the data pipeline needs: add it to the YAML file.
    """
    for key in _REQUIRED:
        _need(hparams, key)
    epoch = SharedEpoch()
    spf = _samples_per_frame(hparams)
    # numbers before files: a wrong one should cost no waiting
    if not isinstance(hparams["seed"], int) or hparams["seed"] < 0:
        raise ConfigError(
            f"seed is {hparams['seed']!r} but must be a whole number >= 0."
        )
    train_length = _signal_length(hparams, "training_signal_len", spf)
    valid_length = _signal_length(hparams, "valid_signal_len", 1)
    use_texts = check_whole(hparams)
    common = {
        "num_spks": _positive(hparams, "num_spks"),
        "sample_rate": hparams["sample_rate"],
        "video_fps": hparams["video_fps"],
        "samples_per_frame": spf,
        "use_lips": bool(hparams["use_lips"]),
        "crop_size": _crop_size(hparams["crop_size"]),
    }
    embeddings = open_cache(hparams)
    if embeddings is not None:
        common.update(embeddings=embeddings, crop_size=None)
    if hparams["dynamic_mixing"]:
        _need(hparams, "mix_gain_db")
    min_spks = read_min_spks(hparams)
    noise = make_noise(hparams, train_length, epoch)
    rooms = make_rooms(hparams, epoch)
    augment = make_visual_augment(hparams)
    rows = {name: _load(hparams, name) for name in ("train", "valid", "test")}
    if use_texts:
        for name in rows:
            path = hparams[f"{name}_data"]
            fill_texts(rows[name].values(), common["num_spks"], path)
    mixer = None
    if hparams["dynamic_mixing"]:
        mixer = Mixer(
            rows["train"].values(),
            hparams["seed"],
            hparams["mix_gain_db"],
            num_spks=common["num_spks"],
            same_voice_ratio=hparams.get("same_voice_ratio") or 0.0,
            epoch=epoch,
            min_spks=min_spks,
        )
        if noise is None and any(
            row.get("noise_wav") for row in rows["train"].values()
        ):
            logger.warning(
                f"The mixtures of {hparams['train_data']} have noise, but "
                "dynamic mixing draws others, without noise: set noise_folder"
            )
    silence = make_silence(hparams, mixer)
    if silence is not None and augment is not None and train_length:
        check_frozen(augment, silence, train_length // spf)
    train = ItemReader(
        length=train_length,
        training=True,
        seed=hparams["seed"],
        epoch=epoch,
        mixer=mixer,
        noise=noise,
        rooms=rooms,
        random_crop=hparams["random_crop"],
        horizontal_flip=hparams["horizontal_flip"],
        silence=silence,
        visual_augment=augment,
        to_longest=use_texts,
        **common,
    )
    datasets = [_dataset(rows["train"], train, epoch, use_texts)]
    for split in ("valid", "test"):
        noise = make_noise(hparams, split=split)
        rooms = make_rooms(hparams, split=split)
        path = hparams[f"{split}_data"]
        enhances = common["num_spks"] == 1 and bool(hparams.get("noise_folder"))
        check_listed(rows[split].values(), noise, rooms, path, enhances)
        fixed = ItemReader(
            length=valid_length, noise=noise, rooms=rooms, **common
        )
        datasets.append(_dataset(rows[split], fixed, SharedEpoch(), use_texts))
    return tuple(datasets)


def _dataset(rows, reader, epoch, use_texts=False):
    """Rows and reader as dynamic items."""
    noise = any("noise_wav" in row for row in rows.values())
    names = columns(reader.num_spks, noise)[2:]
    if use_texts:
        names = names + text_columns(reader.num_spks)
    arrays = ["mix_sig", "sources"] + ["lips"] * reader.use_lips
    arrays += ["lips_mask"] * (reader.mouths.augment is not None)
    outputs = arrays + ["texts"] * use_texts

    @takes("id", *names)
    @provides(*outputs)
    def read(utt_id, *values):
        item = reader.read(utt_id, dict(zip(names, values, strict=True)))
        for array in item[: len(arrays)]:
            yield torch.from_numpy(array)
        if use_texts:
            yield item.texts

    dataset = MixtureDataset(rows, epoch, *_speaker_counts(rows, reader))
    dataset.add_dynamic_item(read)
    dataset.set_output_keys(["id", *outputs])
    return dataset


def _speaker_counts(rows, reader):
    """How many speakers each item has, and how many such numbers there are;
    (None, 1) if all have the same."""
    mixer = reader.mixer
    if mixer is not None:
        if mixer.min_spks == mixer.num_spks:
            return None, 1
        return mixer.count, mixer.num_spks - mixer.min_spks + 1
    listed = {
        utt_id: len(row_sources(row, reader.num_spks))
        for utt_id, row in rows.items()
    }
    counts = len(set(listed.values()))
    return (listed.__getitem__, counts) if counts > 1 else (None, 1)


def _load(hparams, name):
    """The rows of one manifest by ID; missing files are named at once."""
    rows = check_manifest(
        hparams[f"{name}_data"],
        hparams["data_folder"],
        use_lips=hparams["use_lips"],
        headers=False,
        num_spks=hparams["num_spks"],
        min_spks=hparams.get("min_spks"),
    )
    return {row["ID"]: row for row in rows}


def _need(hparams, key):
    if key not in hparams:
        raise ConfigError(
            f"the hyperparameters lack {key}, which the data pipeline needs: "
            "add it to the YAML file."
        )


def _positive(hparams, key):
    value = hparams[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key} is {value!r} but must be a whole number > 0.")
    return value


def _samples_per_frame(hparams):
    """640 at 16 kHz and 25 fps; a fraction would let the streams drift."""
    rate, fps = _positive(hparams, "sample_rate"), hparams["video_fps"]
    if not isinstance(fps, (int, float)) or fps <= 0 or rate % fps:
        raise ConfigError(
            f"sample_rate {rate} is not a whole multiple of video_fps {fps}: "
            "windows could not be cut on frames, so change one of them."
        )
    return int(rate // fps)


def _signal_length(hparams, key, unit):
    """A length in samples, or None for whole utterances."""
    if not hparams.get(key):
        return None
    length = _positive(hparams, key)
    if length % unit:
        raise ConfigError(
            f"{key} is {length} samples but must be a multiple of {unit} (one "
            f"frame): use {max(1, round(length / unit)) * unit}."
        )
    return length


def _crop_size(value):
    """(H, W), or None for frames as stored."""
    if value is None:
        return None
    try:
        height, width = (int(side) for side in value)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ConfigError(
            f"crop_size is {value!r} but must be [height, width] in pixels."
        )
    return height, width
