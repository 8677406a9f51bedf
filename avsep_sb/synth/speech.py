"""Speech with phoneme times, from espeak-ng inside the espeakng-loader wheel.

The synthesizer keeps state between sentences (noise and flutter generators,
the previous voice), so :func:`speak` loads a private copy of the library for
every sentence, which takes about 2 ms: what a sentence sounds like depends
on its arguments alone. Nothing is loaded before the first sentence.

Authors
 * avsep_sb contributors
"""

import ctypes
import math
import os
import shutil
import tempfile

import numpy as np
from scipy.signal import resample_poly

from avsep_sb.errors import DataError

SAMPLE_RATE = 16000
_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: hand samples to the callback
_PHONEME_EVENTS_IPA = 0x1 | 0x2
_DONT_EXIT = 0x8000
_EVENT_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1


class _EventId(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


def _paths():
    """Returns (library, data folder) of the wheel."""
    try:
        import espeakng_loader
    except ImportError as err:
        raise DataError(
            "the speech synthesizer is missing: install it with "
            "`pip install espeakng-loader`"
        ) from err
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _close(lib):
    """Unloads a private copy (a leak, but no error, where that is unknown)."""
    try:
        dlclose = ctypes.CDLL(None).dlclose
    except (AttributeError, TypeError):
        return
    dlclose.argtypes = [ctypes.c_void_p]
    dlclose(lib._handle)


def _select(lib, data, language, variant):
    """Selects a voice; espeak ignores unknown names, so they are checked."""
    known = os.path.join(data, "voices", "!v", variant)
    name = f"{language}+{variant}" if variant else language
    if variant and not os.path.isfile(known):
        raise DataError(f"espeak-ng has no voice variant `{variant}`")
    if lib.espeak_SetVoiceByName(name.encode()) != 0:
        raise DataError(f"espeak-ng has no voice named `{name}`")


def _synthesize(lib, data, text, language, variant, settings):
    """Returns (int16 audio, [(ipa, sample)], rate) from one loaded library."""
    blocks, events = [], []

    @_Callback
    def receive(wave, count, event):
        if wave and count > 0:
            blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        k = 0
        while event[k].type != _EVENT_END:
            if event[k].type == _EVENT_PHONEME:
                ipa = event[k].id.string.decode("utf8", "ignore")
                events.append((ipa, event[k].sample))
            k += 1
        return 0

    rate = lib.espeak_Initialize(
        _SYNCHRONOUS, 0, data.encode(), _PHONEME_EVENTS_IPA | _DONT_EXIT
    )
    if rate <= 0:
        raise DataError(
            "espeak-ng does not start: reinstall the espeakng-loader wheel"
        )
    lib.espeak_SetSynthCallback(receive)
    try:
        _select(lib, data, language, variant)
        for number, value in settings:
            if lib.espeak_SetParameter(number, int(value), 0) != 0:
                raise DataError(f"espeak-ng refuses the setting {value}")
        raw = text.encode("utf8")
        status = lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, _UTF8, None, None)
        lib.espeak_Synchronize()
    finally:
        lib.espeak_Terminate()
    if status != 0 or not blocks:
        raise DataError(f"espeak-ng cannot speak `{text}`")
    return np.concatenate(blocks), events, rate


def speak(
    text,
    language="en-us",
    variant="",
    rate=165,
    pitch=50,
    pitch_range=50,
    formant=1.0,
):
    """Speaks a sentence and says when each phoneme starts.

    Arguments
    ---------
    text : str
        What to say.
    language : str
        An espeak-ng voice, such as ``en-us`` or ``en-gb-x-rp``.
    variant : str
        An espeak-ng voice variant, such as ``m3``; empty for none.
    rate : int
        Words per minute, 80 to 450.
    pitch, pitch_range : int
        espeak-ng's pitch and pitch range, 0 to 100.
    formant : float
        Factor on all frequencies (formants and pitch), as of a shorter
        vocal tract; the rate is lowered by it so that the speed stays.

    Returns
    -------
    audio : numpy.ndarray
        float32 [T] at 16 kHz, as loud as the synthesizer makes it.
    phonemes : list
        ``(ipa, start, end)`` with times in seconds, covering the audio;
        an empty ``ipa`` is a pause.

    Raises
    ------
    DataError
        If the wheel is missing or does not know the voice.

    Example
    -------
    >>> audio, phonemes = speak("bin blue", variant="m3")
    >>> audio.dtype, [p[0] for p in phonemes[:3]]
    (dtype('float32'), ['b', 'ˈɪ', 'n'])
    """
    library, data = _paths()
    settings = [
        (_RATE, round(rate / formant)),
        (_PITCH, pitch),
        (_RANGE, pitch_range),
    ]
    with tempfile.TemporaryDirectory() as folder:
        # A second dlopen of the same file would share the state.
        private = os.path.join(folder, os.path.basename(library))
        shutil.copyfile(library, private)
        lib = ctypes.CDLL(private)
    try:
        # The noise of some voices comes from the C library's rand().
        ctypes.CDLL(None).srand(1)
        pcm, events, native = _synthesize(
            lib, data, text, language, variant, settings
        )
    finally:
        _close(lib)
    # Played at `native * formant`, hence resampled from that rate.
    up, down = SAMPLE_RATE, round(native * formant / 10) * 10
    common = math.gcd(up, down)
    audio = resample_poly(
        pcm.astype(np.float32) / 32768, up // common, down // common
    ).astype(np.float32)
    starts = [sample / down for _, sample in events]
    ends = starts[1:] + [len(audio) / SAMPLE_RATE]
    phonemes = [
        (ipa, start, end)
        for (ipa, _), start, end in zip(events, starts, ends, strict=True)
        if end > start
    ]
    return audio, phonemes
