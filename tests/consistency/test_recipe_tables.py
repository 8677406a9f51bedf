"""Proves that the recipes are complete, tested and alike."""

import re

import pytest

from tests.utils.recipe_tests import failed_checks, read_rows

CORPORA = (
    "LRS2",
    "LRS3",
    "VoxCeleb2",
    "GRID",
    "SynthAV",
    "SynthAV-ASR",
    "NTCD-TIMIT",
    "LRS3-WHAM",
    "LRW",
)


def test_every_recipe_has_a_row(repo):
    rows = read_rows(repo / "tests" / "recipes")
    folders = {path.parent.name for path in repo.glob("recipes/*/train.py")}
    assert {row["Dataset"] for row in rows} == folders == set(CORPORA)
    for row in rows:
        for column in (
            "Script_file",
            "Hparam_file",
            "Data_prep_file",
            "Readme_file",
        ):
            assert (repo / row[column]).is_file(), row[column]
        text = (repo / row["Readme_file"]).read_text(encoding="utf-8")
        assert f"python {row['Script_file']} {row['Hparam_file']}" in text
        assert "--test_only" in text


def test_train_scripts_differ_in_the_corpus_only(repo):
    texts = set()
    for corpus in CORPORA:
        path = repo / "recipes" / corpus / "train.py"
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 50
        for what in ("a lip reader", "a recogniser"):
            text = text.replace(what, "a separation model")
        name = corpus.replace("-", "[-_]")  # as a folder, in a function
        text = re.sub(name, "CORPUS", text, flags=re.IGNORECASE)
        texts.add(re.sub(r"hparams/\w+\.yaml.*", "hparams/x.yaml", text))
    assert len(texts) == 1


def test_checks_can_fail(tmp_path):
    log = tmp_path / "train_log.txt"
    log.write_text(
        "epoch: 1, lr: 1.0e-03 - train loss: 21.1 - valid loss: 2\n"
        "epoch: 2, lr: 1.0e-03 - train loss: -1.47e+01 - valid loss: 1\n"
    )

    def check(text):
        return failed_checks({"test_debug_checks": text}, tmp_path)

    bound = "performance_check=[train_log.txt, train loss, {}, epoch: {}]"
    assert check("file_exists=[train_log.txt] " + bound.format("<=0", 2)) == []
    assert check(bound.format("<=0", 1)) == ["train loss is 21.1, not <=0"]
    assert check(bound.format("<=0", 3))[0].endswith("no line with 'epoch: 3'")
    assert check("file_exists=[train_log.txt,no]") == ["no is missing"]
    assert check("") == ["the row has no checks"]
    assert check("typo=[x]") == ["there is no check named typo"]


@pytest.mark.parametrize("corpus", [c for c in CORPORA if c != "SynthAV"])
def test_options_in_the_readme_exist(repo, corpus):
    """Each prepare argument that a README shows is one of the function."""
    folder = repo / "recipes" / corpus
    shown = re.findall(
        r"--prepare_args \"\{(.*?)\}\"", (folder / "README.md").read_text()
    )
    source = (folder / "prepare.py").read_text()
    signature = source[source.index("def prepare_") :].split("):")[0]
    for argument in re.findall(r"(\w+):", ",".join(shown)):
        assert re.search(rf"\b{argument}=", signature), argument
    assert shown
