"""Proves that the published lists of NTCD-TIMIT are read and checked."""

import pytest

from avsep_sb.dataio.ntcd import find_lists, read_ntcd_list
from avsep_sb.dataio.ntcd_corrected import draw
from avsep_sb.errors import DataError
from tests.utils.mini_ntcd import HEADER, list_line, make_lists


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spk1_fid", "spk1_file", "lacks the columns spk1_fid"),
        ("mixture_path", "gain", "has the unknown columns gain"),
        (",-5,", ",loud,", "line 2: noise_db is 'loud'"),
        ("sa1.wav,/", "sx9.wav,/", "line 2: noise_path is .*recording of 06F"),
        (",06F,sa1", ",../06F,sa1", "line 2: spk1 is '../06F'"),
        (",07M,sx12", ",06F,sx12", "line 2: .*own speaker"),
        ("07M", "02F", "speakers 02F are in the lists of both train and test"),
    ],
)
def test_wrong_lists(tmp_path, old, new, message):
    make_lists(tmp_path)
    path = tmp_path / "lists" / "test_mixture.csv"
    text = path.read_text()
    head, line = text.split("\n", 1)
    path.write_text(
        text.replace(old, new)
        if old in head or old == "07M"
        else head + "\n" + line.replace(old, new, 1)
    )
    with pytest.raises(DataError, match=message):
        find_lists(tmp_path)


def test_lists_elsewhere_and_absent(tmp_path):
    with pytest.raises(DataError, match="train_mixture.csv is not in"):
        find_lists(tmp_path)
    make_lists(tmp_path / "corpus")
    folder = tmp_path / "corpus" / "lists"
    assert find_lists("no", folder) == find_lists(tmp_path / "corpus")
    (folder / "val_mixture.csv").write_text("")
    with pytest.raises(DataError, match="val_mixture.csv lacks the columns"):
        find_lists("no", folder)
    (folder / "val_mixture.csv").write_text(HEADER + "\n")
    with pytest.raises(DataError, match="val_mixture.csv is empty"):
        find_lists("no", folder)


def test_published_lists_are_read(shared):
    """The real metadata: sizes, speakers, one noisy file per first one."""
    folder = shared / "lists" / "NTCD-TIMIT"
    if not folder.is_dir():
        pytest.skip("the published lists are absent")
    lists = find_lists("nowhere", folder)
    sizes = {split: len(listed) for split, listed in lists.items()}
    assert sizes == {"train": 3822, "valid": 784, "test": 882}
    for split, listed in lists.items():
        assert len({m.name for m in listed}) == sizes[split]
        assert len({m.first.spk for m in listed}) * 98 == sizes[split]
    drawn = [draw(mixture) for mixture in lists["train"]]
    swaps = sum(
        d.speakers[0] != m.first
        for d, m in zip(drawn, lists["train"], strict=True)
    )
    louder = sum(d.gain_db > 0 for d in drawn)
    # half of 3822, within four standard deviations
    assert abs(swaps - 1911) < 124 and abs(louder - 1911) < 124
    other = read_ntcd_list(folder / "test_mixture_generation.csv")
    assert other == lists["test"]


def test_list_line_is_like_the_published(shared):
    """The fixture has the columns and the form of the real file."""
    path = shared / "lists" / "NTCD-TIMIT" / "test_mixture.csv"
    if not path.is_file():
        pytest.skip("the published lists are absent")
    header, first = path.read_text().splitlines()[:2]
    assert header == HEADER
    made = list_line(0, ("28M", "sa1"), ("25M", "sx112"), ("Babble", 15))

    def below(line):
        return [cell.split("straightcam")[-1] for cell in line.split(",")][:-1]

    assert below(made) == below(first)
