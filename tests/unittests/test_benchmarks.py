"""Proves that each benchmark runs, and its figures where they are known."""

import importlib
from pathlib import Path

import pytest
import torch

from avsep_sb.errors import ConfigError, DataError
from avsep_sb.losses import fixed_order
from avsep_sb.summary import load_model, summarise
from tests.utils.gate_model import (
    known_signals,
    write_gate_model,
    write_turns,
)
from tests.utils.noisy_corpus import write_corpus
from tests.utils.toy_model import write_model

ROOT = Path(__file__).resolve().parents[2]
HPARAMS = ROOT / "hparams"
TOY_IIANET = (
    f"{HPARAMS / 'iianet_synthav.yaml'} --num_av_cycles 1 "
    "--num_audio_cycles 1 --out_channels 8 --in_channels=16 --depth 2"
)
TOY_BIN = (
    f"{HPARAMS / 'bin_synthav.yaml'} --num_iterations 1 "
    "--bottleneck_channels 8 --audio_channels 16 --video_channels 8"
)


@pytest.fixture
def script(monkeypatch):
    """Imports a script as it is when run: its folder comes first."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    write_turns(folder)
    return folder


def cells(report, first):
    """The cells of the table row that starts with a name."""
    for line in report.read_text().splitlines():
        parts = [cell.strip() for cell in line.strip("|").split("|")]
        if parts[0] == first:
            return parts
    raise AssertionError(f"no row {first} in {report.read_text()}")


def test_busy_rounds_are_left_out(script, monkeypatch):
    """One has a slow product, one a product that was kept waiting."""
    rounds = script("rounds")
    quiet, slow, waited = (0.01, 1.0), (0.02, 1.0), (0.01, 0.5)
    # After the one to warm up: three per round of two calls.
    products = [quiet] * 4 + [quiet, slow, quiet] + [quiet] * 3
    products += [quiet, quiet, waited] + [quiet] * 3
    products = iter(products)
    monkeypatch.setattr(rounds, "product", lambda square: next(products))
    seconds = iter([1, 1, 1, 3, 90, 1, 1, 3, 1, 90, 1, 3])
    monkeypatch.setattr(rounds, "timed", lambda run: (run(), 0.5))
    # Rounds start with a, b, a, b, a.
    calls = dict.fromkeys("ab", lambda: next(seconds))
    found = rounds.interleaved(calls, 5)
    assert found.quiet == [0, 2, 4]
    assert next(products, None) is next(seconds, None) is None
    assert found.seconds("a") == [1, 1, 1]
    assert found.ratios("b", "a") == [3, 3, 3]
    assert found.ratios("b", "a", cpu=True) == [1, 1, 1]
    assert "2 busy" in found.note() and "left out" in found.note()
    found.share[0] = 0.1
    assert found.used == [0, 1, 2, 3, 4] and "another run" in found.note()


def test_a_real_product_is_timed(script):
    rounds = script("rounds")
    taken = rounds.interleaved({"a": lambda: torch.rand(10)}, 2)
    assert 0 < taken.fastest <= min(taken.product)
    assert len(taken.wall["a"]) == len(taken.share) == 2


def test_claim_is_judged_by_all_rounds(script):
    verdict = script("model_costs").verdict
    assert "60 % less: the claim holds" in verdict([0.45, 0.4, 0.3])
    assert "60 % less: the rounds do not agree" in verdict([0.4, 0.55, 0.3])
    assert "20 % more: the claim does not hold" in verdict([1.2])


def test_costs_are_those_of_the_summary(script):
    """One second and one face, which the summary counts on the meta device."""
    path = HPARAMS / "bin_synthav.yaml"
    summary = summarise(path)
    found = script("candidates").Candidate(str(path), 1.0, 1).figures()
    assert list(found) == [
        summary.parameters,
        summary.macs.ptflops,
        summary.frontend_parameters,
        summary.frontend_macs.ptflops,
    ]


def test_training_step_is_that_of_training(script):
    """The first loss is the YAML's, and steps bring it down."""
    one = script("candidates").Candidate(TOY_BIN, 0.4, 2)
    tools = script("training_step")
    batch = tools.random_batch(1, 6400, 2, one.visual)
    mix, sources = batch.mix_sig.data, batch.sources.data
    assert torch.allclose(mix, sources.sum(-1))
    with torch.no_grad():
        estimate = one.separator(mix, one.visual[None])
    expected = float(fixed_order(estimate, sources)[0])
    modules = {
        "separator": one.separator,
        "visual_frontend": torch.nn.Identity(),
    }
    step = tools.training_step(one.hparams, modules, batch)
    losses = [step() for _ in range(5)]
    assert losses[0] == pytest.approx(expected, abs=1e-4)
    assert losses[-1] < losses[0] - 0.01


def test_model_costs(script, tmp_path, monkeypatch):
    model_costs = script("model_costs")
    monkeypatch.setattr(
        model_costs, "peak_megabytes", lambda text, task, *size: len(task)
    )
    options = ["--seconds", "0.4", "--rounds", "1", "--threads", "1"]
    options += ["--out", str(tmp_path / "out")]
    audio = str(HPARAMS / "iianet_synthav_audio.yaml")
    model_costs.main([TOY_IIANET, TOY_BIN, audio, *options])
    report = tmp_path / "out" / "model_costs.md"
    names = [
        script("candidates").Candidate(text, 0.4, 2).name
        for text in (TOY_IIANET, TOY_BIN)
    ]
    assert names[0] == (
        "iianet_synthav num_av_cycles=1 num_audio_cycles=1 out_channels=8 "
        "in_channels=16 depth=2"
    )
    assert cells(report, names[0])[4] == "1.000 (1.000 to 1.000)"
    assert cells(report, names[1])[-1] == "13 / 9"
    text = report.read_text()
    assert f"- {names[1]} beside {names[0]}, training step: " in text
    assert "beside iianet_synthav_audio" not in text
    assert text.count("LightLipNet") == 2
    picture = (tmp_path / "out" / "model_costs.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    # A report is never written over, and is refused before the work.
    monkeypatch.setattr(model_costs, "measure", None)
    with pytest.raises(DataError, match="model_costs.md' is there already"):
        model_costs.main([TOY_IIANET, *options])
    with pytest.raises(ConfigError, match="give each once"):
        options[-1] = str(tmp_path / "other")
        model_costs.main([TOY_BIN, TOY_BIN, *options])


def test_a_yaml_without_a_separator_is_told(script):
    with pytest.raises(ConfigError, match="no separator"):
        script("candidates").Candidate(
            str(HPARAMS / "lips_synthav.yaml"), 1.0, 2
        )


def test_peak_memory(script):
    """More than the gradients, less than what a whole machine has."""
    peak = script("peak_memory").peak_megabytes
    assert 1 < peak(TOY_BIN, "training step", 2.0, 2, 1) < 1000


def test_swap_needs_every_voice(script):
    follows = script("scoring").follows
    sources, mix = known_signals()
    assert follows(sources + 0.1 * sources.flip(-1), sources)
    assert not follows(sources.flip(-1), sources)
    assert not follows(mix[..., None].expand(-1, -1, 2), sources)


def test_audio_only_gets_the_better_order(script):
    class Unordered:
        sees = False

        def separate_batch(self, mix, lips):
            return sources.flip(-1)

    sources, mix = known_signals()
    scoring = script("scoring")
    gain, swap = scoring.score(Unordered(), mix, sources, None)
    assert gain > 90 and swap != swap


def test_listed_noise_is_heard(script, tmp_path):
    """The mixture is the voices and the noise of its row."""
    from avsep_sb.dataio.audio import read_audio
    from avsep_sb.dataio.manifest import check_manifest

    write_corpus(tmp_path)
    scoring = script("scoring")
    model = scoring.load_models([write_model(tmp_path / "toy")])["toy"]
    row = check_manifest(tmp_path / "all.csv", tmp_path)[1]
    mix, sources, lips = scoring.read_item(scoring.reader_for(model), row)
    hiss = read_audio(tmp_path / "hiss.wav", 20000, 20000 + mix.shape[1])
    assert sources.shape == (*mix.shape, 2) and lips.shape[:2] == (1, 2)
    assert torch.allclose(
        mix - sources.sum(-1), 0.4 * torch.from_numpy(hiss), atol=1e-6
    )


def test_compare_models(script, turns, tmp_path):
    compare = script("compare_models")
    av = write_gate_model(tmp_path / "gate", 0.1)
    blind = write_gate_model(tmp_path / "blind" / "pretrained", 1.0)
    audio = write_model(tmp_path / "audio", audio_only=True)
    seen = write_model(tmp_path / "toy")
    weights = (seen / "separator.ckpt").read_bytes()
    out = tmp_path / "out"
    argv = [str(av), str(blind), str(audio)]
    argv += [f"{seen}={HPARAMS / 'iianet_synthav.yaml'}"]
    argv += ["--data", str(turns), "--manifests", str(turns / "turns.csv")]
    argv += ["--rounds", "1", "--seconds", "0.4", "--limit", "2"]
    compare.main([*argv, "--out", str(out)])
    report = out / "compare_models.md"
    # A tenth of the other voice is 20 dB less of it.
    row = cells(report, "gate")
    assert row[1:3] == ["20.00 ± 0.00", "100.00 ± 0.00"]
    assert row[-1] == "-"
    # The mixture itself improves nothing and follows nobody.
    assert cells(report, "blind")[1:3] == ["0.00 ± 0.00", "0.00 ± 0.00"]
    assert "| blind | -20.00 ± 0.00 |" in report.read_text()
    assert cells(report, "audio")[2] == "-"
    assert "for 4 x 1.28 s, " in cells(report, "toy")[-1]
    assert (seen / "separator.ckpt").read_bytes() == weights
    table = (out / "turns.csv").read_text().splitlines()
    assert table[0].startswith("snt_id,gate SI-SNRi,gate swap,")
    assert [line.split(",")[0] for line in table[1:]] == (
        ["mix0", "mix1", "avg", "ci95"]
    )
    with pytest.raises(DataError, match="is there already"):
        compare.main([*argv, "--out", str(out)])


def test_size_and_macs_are_known(script, tmp_path):
    compare = script("compare_models")
    folder = write_gate_model(tmp_path / "gate", 0.1)
    model = script("scoring").load_models([folder])["gate"]
    sizes, macs = compare.size_and_macs(model, 2)
    assert (sizes, macs) == ([1, 0], [16000.0, 0.0])


def test_measured_steps_leave_the_model_alone(script, tmp_path):
    compare = script("compare_models")
    folder = write_model(tmp_path / "toy")
    model = script("scoring").load_models([folder])["toy"]
    before = [p.clone() for p in model.mods.parameters()]
    path = HPARAMS / "iianet_synthav.yaml"
    step, size = compare.step_of(model, path)
    hparams = load_model(path)
    assert size == (hparams["batch_size"], 1.28)
    first = step()
    assert any(step() != first for _ in range(2))
    after = list(model.mods.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not any(p.requires_grad for p in after)


def test_which_yaml_a_folder_was_trained_with(script, tmp_path):
    split = script("compare_models").split_yaml
    folder = tmp_path / "run" / "pretrained"
    assert split(str(folder)) == (folder, None)
    folder.mkdir(parents=True)
    (tmp_path / "run" / "hyperparams.yaml").write_text("")
    assert split(str(folder)) == (folder, folder.parent / "hyperparams.yaml")
    assert split(f"{folder}=a.yaml") == (folder, Path("a.yaml"))
    assert split("a=b") == (Path("a=b"), None)


def test_length_sweep(script, turns, tmp_path):
    """One model hears the same in all lengths; one leaks 4 times as much.

    The second leaks a 20th in 0.4 s and an 80th in 1.6 s, 12.04 dB less.
    """
    length_sweep = script("length_sweep")
    models = [
        write_gate_model(tmp_path / "steady", 0.1),
        write_gate_model(tmp_path / "leaky", 0.05, power=1.0),
    ]
    out = tmp_path / "out"
    argv = [str(path) for path in models] + ["--data", str(turns)]
    argv += ["--manifest", str(turns / "turns.csv"), "--mixtures", "3"]
    argv += ["--lengths", "1.6", "0.4", "0.8", "--out", str(out)]
    length_sweep.main(argv)
    text = (out / "length_sweep.md").read_text()
    assert (
        "| 0.4 | 20.00 ± 0.00 | +0.00 ± 0.00 | 20.00 ± 0.00 | +0.00 ± 0.00 |"
    ) in text
    assert (
        "| 0.4 | 26.02 ± 0.00 | -12.04 ± 0.00 | 26.02 ± 0.00 | -12.04 ± 0.00 |"
    ) in text
    assert text.count("+0.00 dB, 95 % interval +0.00 to +0.00: within 0.5") == 1
    assert "interval -12.04 to -12.04: not within 0.5 dB" in text
    table = (out / "length_sweep_leaky.csv").read_text().splitlines()
    assert len(table) == 1 + 3 + 2
    assert '"0.8 s, same windows"' in table[0]


def test_silent_windows_are_left_out(script):
    sources = 0.1 * torch.randn(1, 6400, 2)
    sources[:, 1600:3200, 1] *= 0.01
    kept = script("length_sweep").audible_windows(sources, 1600)
    assert kept.tolist() == [True, False, True, True]


@pytest.mark.parametrize("lengths", [[1.0], [0.03, 3.0], [2, 3], [2, 4, 6]])
def test_lengths_that_do_not_fit(script, lengths):
    with pytest.raises(ConfigError, match="do not go into one another"):
        script("length_sweep").sizes_of(lengths, 16000, 25)


def test_long_mixtures_join_on_frames(script, turns):
    """Sound and mouth of the joined voices open together."""
    from avsep_sb.dataio.manifest import read_manifest

    rows = read_manifest(turns / "turns.csv", turns)
    make = script("long_mixtures").LongMixtures
    mixtures = make(rows, 50 * 640, 16000, 25)
    mix, sources, lips = mixtures.draw(0)
    assert mix.shape == (1, 32000) and lips.shape == (1, 2, 50, 96, 96)
    assert torch.allclose(mix, sources.sum(-1), atol=1e-6)
    sounds = sources.reshape(50, 640, 2).abs().amax(1).T > 0
    assert torch.equal(sounds, lips[0, :, :, 0, 0] > 100)
    assert torch.equal(mix, mixtures.draw(0)[0])
    assert not torch.equal(mix, mixtures.draw(1)[0])
    with pytest.raises(DataError, match="not two speakers"):
        make(rows, 61 * 640, 16000, 25).draw(0)


def test_separation_report(script, turns, tmp_path):
    """The older report scores as the comparison does."""
    report = script("separation_report")
    folder = write_gate_model(tmp_path / "gate", 0.1)
    twin = write_model(tmp_path / "twin", audio_only=True)
    argv = ["--av", str(folder), "--audio", str(twin), "--data", str(turns)]
    argv += ["--manifests", str(turns / "turns.csv"), "--out", str(tmp_path)]
    report.main(argv)
    row = cells(tmp_path / "report.md", "turns")
    assert row[1:3] == ["3", "20.00 ± 0.00 dB"]
    assert row[-1] == "100.0 ± 0.0 %"


def test_bin_speedup(script, capsys):
    argv = ["--iterations", "1", "--seconds", "0.1", "--repeats", "1"]
    assert script("bin_speedup").main(argv) == 0
    assert "| ours | " in capsys.readouterr().out
