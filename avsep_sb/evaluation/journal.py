"""Keeps the scores of a test that is under way, so that it can go on.

Authors
 * avsep_sb contributors
"""

import json
from pathlib import Path

from avsep_sb.errors import DataError


class Journal:
    """A file with a line per scored mixture, deleted when all is done.

    The first line tells what the scores belong to. A test that was stopped
    goes on with the mixtures that are missing; scores of other settings are
    refused. The file is made with its first mixture.

    Arguments
    ---------
    path : str or Path
        The file.
    settings : dict
        What the scores depend on: strings, numbers and lists.
    overwrite : bool
        Whether scores of other settings may be thrown away.

    Example
    -------
    >>> path = getfixture("tmp_path") / "scores.jsonl"
    >>> Journal(path, {"metrics": ["sdr"]}).add("a", {"sdr": 8.5})
    >>> Journal(path, {"metrics": ["sdr"]}).scores
    {'a': {'sdr': 8.5}}
    >>> Journal(path, {"metrics": ["pesq"]})
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: '...' holds the scores of a test that was ...
    """

    def __init__(self, path, settings, overwrite=False):
        self.path = Path(path)
        self.settings = settings
        self.scores = {}
        if self.path.exists():
            known, scores = _read(self.path)
            if known == settings:
                self.scores = scores
            elif not overwrite:
                raise DataError(
                    f"'{self.path}' holds the scores of a test that was "
                    "stopped and had another model, manifest or other "
                    "metrics: give another --out, or --overwrite."
                )
        # A torn last line would swallow the next one: begin anew.
        self._begun = False

    def add(self, name, scores):
        """Keeps the scores of a mixture.

        Arguments
        ---------
        name : str
            ID of the mixture.
        scores : dict
            What json can hold.
        """
        if not self._begun:
            self._begin()
        self.scores[name] = scores
        self._write("a", [{"ID": name, "scores": scores}])

    def _begin(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{"settings": self.settings}]
        lines += [{"ID": n, "scores": s} for n, s in self.scores.items()]
        self._write("w", lines)
        self._begun = True

    def _write(self, mode, lines):
        # Closed after each mixture: nothing is lost when a test dies.
        with open(self.path, mode, encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def remove(self):
        """Deletes the file; the scores stay in memory."""
        self.path.unlink(missing_ok=True)


def _read(path):
    """Settings and scores of a file, as far as it can be read."""
    settings, scores = None, {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line at which the test was stopped
        if "settings" in entry:
            settings = entry["settings"]
        else:
            scores[entry["ID"]] = entry["scores"]
    return settings, scores
