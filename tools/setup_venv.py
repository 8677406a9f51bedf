"""Creates ``.venv`` and installs avsep_sb into it; a second run takes seconds.

Run by the system's Python with its standard library alone. Where there is no
NVIDIA GPU one fixed release of torch is asked for; name an index that carries
its CPU wheels in AVSEP_TORCH_INDEX to save the download of the CUDA libraries.

Authors
 * avsep_sb contributors
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
OLDEST = (3, 10)
# For machines without a GPU: the release that the tests run with.
CPU_TORCH = "torch==2.13.0"
ANY_TORCH = "torch>=2.7.1"
TORCHAUDIO = "torchaudio>=2.7.1"

# Prints a line if the compiled half of torchaudio cannot be loaded.
PROBE = """
import torch
if torch.version.cuda is None:
    try:
        import torchaudio
    except (ImportError, OSError) as err:
        print("unusable:", str(err).splitlines()[0])
"""


def say(text):
    """Tells the user what takes its time now."""
    print(f"[setup] {text}", flush=True)


def run(*command, **kwargs):
    """Runs a program and stops with its status if it fails."""
    status = subprocess.run([str(part) for part in command], **kwargs)
    if status.returncode:
        sys.exit(
            f"[setup] failed ({status.returncode}): "
            + " ".join(str(part) for part in command)
        )
    return status


def pip_install(*args):
    """Installs into the venv, saying no more than what goes wrong."""
    run(
        *(PYTHON, "-m", "pip", "install"),
        # Twice: errors only. Once still warns of every index that is not there.
        *("--quiet", "--quiet", "--disable-pip-version-check", *args),
    )


def fingerprint():
    """A digest of everything that decides what is installed."""
    digest = hashlib.sha256()
    for path in (ROOT / "setup.py", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def works(python, code):
    """Whether an interpreter runs a line of code without an error."""
    try:
        status = subprocess.run(
            [python, "-c", code], capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return status.returncode == 0


def choose_python():
    """The interpreter of the venv: python3.11 if there, else any >= 3.10."""
    check = f"import sys, venv; sys.exit(sys.version_info < {OLDEST})"
    for name in ("python3.11", sys.executable, "python3", "python3.12"):
        path = shutil.which(name)
        if path and works(path, check):
            return path
    sys.exit("[setup] Python 3.10 or newer is needed, with its venv module.")


def create_venv():
    """Makes .venv with pip, also where Debian left ensurepip out."""
    if works(PYTHON, "import pip"):
        return
    python = choose_python()
    say(f"creating .venv with {python}")
    if works(python, "import ensurepip"):
        run(python, "-m", "venv", VENV)
    elif works(python, "import pip"):
        run(python, "-m", "venv", "--without-pip", VENV)
        run(python, "-m", "pip", "--python", PYTHON, "install", "-q", "pip")
    else:
        sys.exit(
            "[setup] This Python has neither ensurepip nor pip: install the "
            "package python3-venv (or python3-pip) and run the command again."
        )


def has_nvidia_gpu():
    """Whether nvidia-smi is there and finds a GPU."""
    if shutil.which("nvidia-smi") is None:
        return False
    status = subprocess.run(["nvidia-smi", "-L"], capture_output=True)
    return status.returncode == 0 and b"GPU" in status.stdout


def install_torch():
    """Installs torch for this machine, and torchaudio without a second one."""
    if works(PYTHON, "import torch"):
        say("keeping the torch that is installed")
    elif has_nvidia_gpu():
        say("installing torch for the NVIDIA GPU")
        pip_install(ANY_TORCH)
    else:
        say("installing torch for the CPU")
        index = os.environ.get("AVSEP_TORCH_INDEX")
        # setuptools and others come from the usual index in the next step.
        pip_install(CPU_TORCH, *(["--index-url", index] if index else []))
    # Its own requirement would exchange the torch just chosen.
    pip_install("--no-deps", TORCHAUDIO)


def can_compile():
    """Whether pesq, which has no wheels, can be built for the venv."""
    code = (
        "import os, sys, sysconfig; sys.exit(not os.path.isfile("
        "sysconfig.get_path('include') + '/Python.h'))"
    )
    compilers = [os.environ.get("CC", "cc").split()[0], "gcc"]
    return any(map(shutil.which, compilers)) and works(PYTHON, code)


def drop_unusable_extension():
    """Removes torchaudio's compiled files if a CPU torch cannot load them.

    Its wheel is built against CUDA; without these files it runs in Python.
    """
    found = subprocess.run(
        [PYTHON, "-c", PROBE], capture_output=True, text=True, check=True
    )
    if not found.stdout.startswith("unusable"):
        return
    removed = sorted(VENV.glob("lib/*/site-packages/torchaudio/lib/*.so"))
    for path in removed:
        path.unlink()
    names = ", ".join(path.name for path in removed)
    say(f"removed {names}: torchaudio's wheel needs CUDA, this torch has none")
    run(PYTHON, "-c", "import torchaudio")


def main():
    """Brings .venv up to date with setup.py."""
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        # make compares times: this tells it that the venv is current.
        STAMP.touch()
        return
    create_venv()
    install_torch()
    say("installing avsep_sb and the rest")
    extras = "dev" if can_compile() else "test"
    pip_install("-e", f"{ROOT}[{extras}]")
    if extras == "test":
        say(
            "there is no PESQ in the results: for it, install gcc and "
            "python3-dev, then '.venv/bin/pip install pesq'"
        )
    drop_unusable_extension()
    STAMP.write_text(wanted)
    say("done")


if __name__ == "__main__":
    main()
