"""What is checked of each row of the table."""

import json
import re

import numpy as np
import soundfile

from avsep_sb.vision.decode import read_audio, read_frames
from tests.torture.films import RATE


def read_voices(folder):
    """The wavs of a result at the level of the mixture.

    Arguments
    ---------
    folder : Path
        Of the result.

    Returns
    -------
    dict
        Name without suffix to float64 [T].
    """
    table = json.loads((folder / "faces.json").read_text("utf-8"))
    voices = {}
    for path in sorted(folder.glob("*.wav")):
        data, rate = soundfile.read(path)
        assert rate == RATE and data.ndim == 1, path
        voices[path.stem] = data / table["gain"]
    return voices


def whole_sound(voices):
    """The sum of all voices and the residual."""
    return sum(voices.values())


def likeness_db(signal, reference):
    """SI-SNR in dB of what both have; the mean is left out."""
    count = min(len(signal), len(reference))
    assert count >= 1600, "too little to compare"
    one, two = (x[:count] - x[:count].mean() for x in (signal, reference))
    part = (one @ two) / (two @ two) * two
    rest = one - part
    return 10 * np.log10((part @ part) / (rest @ rest + 1e-20))


def lag_ms(signal, reference, most=100):
    """By how many ms a signal is later, from their cross-correlation."""
    count, reach = min(len(signal), len(reference)), most * RATE // 1000
    inner = reference[reach : count - reach]
    scores = np.correlate(signal[:count], inner, "valid")
    # A louder period of the same voice is no better match.
    energy = np.cumsum(np.r_[0.0, np.square(signal[:count], dtype=float)])
    energy = energy[len(inner) :] - energy[: -len(inner)]
    scores = scores / np.sqrt(energy + 1e-12)
    return (int(np.abs(scores).argmax()) - reach) * 1000 / RATE


def check_right(row, given, result, scene, plain):
    """Checks a result that must be right.

    Arguments
    ---------
    row : Row
        The row.
    given : Given
        What it handed to the command.
    result : Path
        The folder of the result.
    scene : Scene
        The plain scene.
    plain : dict
        Its voices, as :func:`read_voices` gives them.
    """
    wanted = row.ends
    voices = read_voices(result)
    stem = "face" if wanted.by_face else "speaker"
    names = [f"{stem}{k + 1}" for k in range(wanted.voices)]
    assert sorted(voices) == sorted([*names, "residual"])
    lengths = {len(voice) for voice in voices.values()}
    assert len(lengths) == 1, "the wavs are not of one length"
    (length,) = lengths
    check_length(given, wanted.shift, length)
    for name, voice in voices.items():
        assert np.isfinite(voice).all(), name
        if wanted.silent:
            assert not voice.any(), f"{name} holds sound"
    sound = whole_sound(voices)
    if not wanted.silent:
        assert sound.any(), "the sound is lost"
        if wanted.each_heard:
            assert all(voices[name].any() for name in names)
    begin, end = (round(RATE * t) for t in wanted.span)
    shift = round(RATE * wanted.shift)
    pairs, low = [], []
    if wanted.sound is not None and not wanted.silent:
        pairs.append(("sound", sound, scene.sound, wanted.sound))
    if wanted.like is not None:
        for name in names:
            pairs.append((name, voices[name], plain[name], wanted.like))
    for name, signal, reference, least in pairs:
        signal = signal[begin:end]
        reference = reference[begin + shift : end + shift]
        level = likeness_db(signal, reference)
        print(f"{row.name}: {name} {level:.1f} dB")
        if level < least:
            low.append(f"{name}: {level:.1f} dB")
        late = lag_ms(signal, reference)
        assert abs(late) <= 1, f"{name} is {late:.1f} ms late"
    assert not low, low


def check_length(given, shift, length):
    """The wavs are as long as the sound of the video."""
    if given.seconds is not None:
        over = length / RATE - given.seconds + shift
        assert -given.slack / 4 <= over <= given.slack, f"{over:+.4f} s longer"
    if given.has_picture:
        assert length == len(read_audio(given.paths[-1])), "samples are lost"


def check_videos(given, result, voices):
    """Each mp4 shows the picture, and has its voice at its place."""
    shown = sum(1 for _ in read_frames(given.paths[-1]))
    for name in voices:
        path = result / f"{name}.mp4"
        assert sum(1 for _ in read_frames(path)) == shown
        wav, _ = soundfile.read(result / f"{name}.wav")
        heard = read_audio(path)
        assert len(heard) >= len(wav), "the sound of an mp4 was cut"
        assert abs(lag_ms(heard, wav)) <= 1, "an mp4 is out of step"


def check_refused(row, error):
    """There is one sentence, and it says what it must.

    Arguments
    ---------
    row : Row
        The row.
    error : str
        What was written to stderr.
    """
    assert "Traceback" not in error
    assert error.startswith("error: ") and error.count("\n") == 1, error
    sentence = error.removeprefix("error: ").strip()
    assert re.search(row.ends.says, sentence), sentence
    assert sentence.endswith("."), "not a sentence"
