"""Refuses options and YAML keys that nothing would read.

SpeechBrain's parser takes ``--opt`` for an abbreviation of a run option and
drops it, and HyperPyYAML loads a misspelt key without a word: the run would
go on with the default.

Authors
 * avsep_sb contributors
"""

import difflib
import re

from speechbrain.utils.run_opts import RunOptions

from avsep_sb.errors import ConfigError

# What the recipes, the pipeline and the Brain look up by name.
READ_BY_CODE = frozenset(
    """
    seed dataset experiment_name output_folder save_folder train_log
    manifest_folder data_folder train_data valid_data test_data skip_prep
    prepare_args num_spks sample_rate video_fps save_audio n_audio_to_save
    test_metrics loss_threshold training_signal_len valid_signal_len
    dynamic_mixing mix_gain_db same_voice_ratio random_crop horizontal_flip
    noise_folder noise_snr_db noise_probability visual_augment
    min_spks valid_noise_folder test_noise_folder
    rir_folder reverb_probability reverb_target valid_rir_folder
    test_rir_folder
    silent_target_prob silent_moving_prob silent_pausing_prob
    offscreen_voice_prob
    crop_size use_lips frontend_weights separator_weights mask_scale
    new_parts embedding_cache embedding_dtype
    window_frames dataloader_opts
    valid_dataloader_opts modules loss optimizer lr_scheduler epoch_counter
    checkpointer train_logger visual_frontend separator lr_scheduler_loss
    trainer pixel_scale max_shift sir_db
    mixup_alpha variable_length
    compute_features normalize wav_augment fea_augment tokenizer max_silence
    augment_from
    brain use_texts recogniser sep_weight asr_weight asr_frozen_epochs
    separator_frozen_epochs asr_optimizer asr_lr_scheduler
    """.split()
)


def refuse_unknown_options(args, hparams_file):
    """Names a command-line option that is no key and no run option.

    Arguments
    ---------
    args : list of str
        The command line after the YAML file.
    hparams_file : str
        The YAML; ``ConfigError`` tells the nearest of its keys.

    Example
    -------
    >>> refuse_unknown_options(["--debug"], "hparams/iianet.yaml")
    """
    with open(hparams_file, encoding="utf-8") as fin:
        keys = _keys(fin.read())
    known = [*keys, *RunOptions().as_dict()]
    for arg in args:
        name = arg[2:].split("=")[0]
        if arg.startswith("--") and name not in known:
            if name in READ_BY_CODE:
                raise ConfigError(
                    f"'{hparams_file}' has no key '{name}' that '--{name}' "
                    f"could change; add the line '{name}: null' to it."
                )
            raise ConfigError(
                f"'--{name}' is neither a key of '{hparams_file}' nor a run "
                f"option{_nearest(name, known)}"
            )


def refuse_unused_keys(hparams_file):
    """Names a key of a YAML that neither the YAML nor the code reads.

    Arguments
    ---------
    hparams_file : str
        The YAML; ``ConfigError`` tells the nearest key that is read.

    Example
    -------
    >>> refuse_unused_keys("hparams/iianet.yaml")
    """
    with open(hparams_file, encoding="utf-8") as fin:
        text = fin.read()
    keys = _keys(text)
    referenced = set(re.findall(r"<([A-Za-z]\w*)", text))
    known = READ_BY_CODE | referenced | set(RunOptions().as_dict())
    for key in keys:
        if key not in known:
            raise ConfigError(
                f"Nothing reads the key '{key}' of '{hparams_file}'"
                f"{_nearest(key, sorted(known))}"
            )


def _keys(text):
    """Top-level keys; those that begin with __ are for side effects."""
    return re.findall(r"^([A-Za-z]\w*):", text, re.MULTILINE)


def _nearest(name, known):
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else "; remove it."
