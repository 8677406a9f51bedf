"""Tells pretrained folders apart, whatever they are called.

Authors
 * avsep_sb contributors
"""

import hashlib
from pathlib import Path


def fingerprint(*sources):
    """A short name of the models in some pretrained folders.

    Arguments
    ---------
    *sources : str or Path
        Folders; what is none, such as a name on a hub, stands for itself.

    Returns
    -------
    str
        12 digits, others for other hyperparameters or weights.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> before = fingerprint(folder)
    >>> (folder / "separator.ckpt").touch()
    >>> len(before), before == fingerprint(folder)
    (12, False)
    """
    digest = hashlib.sha256()
    for source in sources:
        folder = Path(source)
        if not folder.is_dir():
            digest.update(f"{source}\0".encode())
            continue
        for pattern in ("*.yaml", "*.ckpt", "*.onnx"):
            for path in sorted(folder.glob(pattern)):
                digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
                with open(path, "rb") as file:
                    while data := file.read(1 << 20):
                        digest.update(data)
    return digest.hexdigest()[:12]
