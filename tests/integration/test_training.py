"""Proves that training survives a kill, agrees on two ranks, and exports.

The real recipe script runs on a toy corpus in processes of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.utils.toy_corpus import make_toy_corpus, toy_options

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "recipes" / "SynthAV" / "train.py"
PROBE = ROOT / "tests" / "utils" / "probe_run.py"
YAML = "hparams/iianet_synthav.yaml"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return folder, make_toy_corpus(folder)


def run(args, cwd, launcher=(), yaml=YAML, **env):
    command = [sys.executable, *launcher, str(PROBE), str(SCRIPT), yaml, *args]
    return subprocess.run(
        command,
        cwd=cwd,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=240,
    )


def weights_of(folder, rank=0):
    return (folder / f"rank{rank}.txt").read_text()


@pytest.fixture(scope="module")
def whole_run(corpus, tmp_path_factory):
    """A run of two epochs that nobody disturbs."""
    folder, manifests = corpus
    out = tmp_path_factory.mktemp("whole")
    args = toy_options(folder, out / "run", manifests)
    done = run(args, cwd=out, AVSEP_TEST_WEIGHTS=str(out))
    assert done.returncode == 0, done.stderr
    return out


def test_run_leaves_what_it_promises(whole_run):
    from avsep_sb.inference.separation import AVSeparation

    out = whole_run / "run"
    for name in (
        "train_log.txt",
        "test_results.csv",
        "training_curves.png",
        "hyperparams.yaml",
        "env.log",
        "train.py",
        "pretrained/hyperparams.yaml",
        "pretrained/separator.ckpt",
        "save/audio_results/itemmix0_source1hat.wav",
        "figures/itemmix0.png",
    ):
        assert (out / name).is_file(), name
    rows = (out / "test_results.csv").read_text().splitlines()
    assert rows[0].startswith("snt_id") and rows[-2].startswith("avg")
    model = AVSeparation.from_hparams(out / "pretrained")
    assert not model.mods.separator.training


def test_kill_in_the_middle_of_an_epoch_changes_nothing(
    corpus, whole_run, tmp_path
):
    folder, manifests = corpus
    args = toy_options(folder, tmp_path / "run", manifests)
    args.append("--ckpt_interval_steps=1")
    killed = run(args, cwd=tmp_path, AVSEP_TEST_DIE_AT="2:3")
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "run" / "test_results.csv").exists()
    again = run(args, cwd=tmp_path, AVSEP_TEST_WEIGHTS=str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert weights_of(tmp_path) == weights_of(whole_run)


def test_torn_checkpoint_is_set_aside(corpus, whole_run, tmp_path):
    folder, manifests = corpus
    args = toy_options(folder, tmp_path / "run", manifests)
    args.append("--ckpt_interval_steps=1")
    assert run(args, tmp_path, AVSEP_TEST_DIE_AT="2:3").returncode == -9
    newest = max((tmp_path / "run" / "save").glob("CKPT+*"))
    torn = newest / "separator.ckpt"
    torn.write_bytes(torn.read_bytes()[:500])
    again = run(args, cwd=tmp_path, AVSEP_TEST_WEIGHTS=str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert list((tmp_path / "run" / "save").glob("torn+*"))
    assert weights_of(tmp_path) == weights_of(whole_run)


def test_two_processes_end_with_the_same_weights(corpus, tmp_path):
    folder, manifests = corpus
    args = toy_options(folder, tmp_path / "run", manifests, epochs=1)
    launcher = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
    ]
    done = run(
        [*args, "--distributed_backend=gloo"],
        tmp_path,
        launcher,
        AVSEP_TEST_WEIGHTS=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert weights_of(tmp_path, 0) == weights_of(tmp_path, 1)


def test_test_only_without_a_checkpoint_refuses(corpus, tmp_path):
    folder, manifests = corpus
    args = toy_options(folder, tmp_path / "run", manifests)
    done = run([*args, "--test_only"], cwd=tmp_path)
    assert done.returncode == 2
    assert "no checkpoint" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_key_is_named(corpus, tmp_path):
    folder, manifests = corpus
    args = toy_options(folder, tmp_path / "run", manifests)
    done = run([*args, "--batch_sice=3"], cwd=tmp_path)
    assert done.returncode == 2
    assert "batch_size" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_misspelt_key_in_the_yaml_is_named(corpus, tmp_path):
    folder, manifests = corpus
    text = (ROOT / YAML).read_text()
    (tmp_path / "own.yaml").write_text(f"lrr: 1\n{text}")
    args = toy_options(folder, tmp_path / "run", manifests)
    done = run(args, cwd=tmp_path, yaml=str(tmp_path / "own.yaml"))
    assert done.returncode == 2 and "'lrr'" in done.stderr
    assert "Traceback" not in done.stderr
