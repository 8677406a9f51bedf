"""One training step, as the Brain takes it, on random signals.

Forward pass, loss, backward pass, clipping and optimizer are those of
training; reading data is not in it.

Authors
 * avsep_sb contributors
"""

import torch
from speechbrain.dataio.batch import PaddedBatch

from avsep_sb.brain import AVSeparationBrain


def random_mouths(shape):
    """Mouth ROIs of noise, uint8 of any shape, always the same."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def random_batch(batch_size, num_samples, num_spks, lips=None):
    """A batch of the Brain.

    Arguments
    ---------
    batch_size, num_samples, num_spks : int
        Mixtures, length of each in samples, voices in each.
    lips : torch.Tensor or None
        What all mixtures see, [S, Tv, ...].

    Returns
    -------
    PaddedBatch
        With ``mix_sig``, ``sources`` and, if given, ``lips``.
    """
    generator = torch.Generator().manual_seed(0)
    items = []
    for i in range(batch_size):
        sources = 0.1 * torch.randn(num_samples, num_spks, generator=generator)
        item = {"id": str(i), "mix_sig": sources.sum(1), "sources": sources}
        if lips is not None:
            # Items put time first.
            item["lips"] = lips.transpose(0, 1)
        items.append(item)
    return PaddedBatch(items)


def training_step(hparams, modules, batch, **run_opts):
    """A function that takes one training step and returns the loss.

    Arguments
    ---------
    hparams : dict
        A training YAML that is loaded, for its loss, optimizer and clipping.
    modules : dict
        ``separator`` and, if it sees, ``visual_frontend``, to be trained.
    batch : PaddedBatch
        The batch of every step.
    **run_opts
        Of the Brain beside the device, such as ``precision="bf16"``.

    Returns
    -------
    callable
        Takes no arguments.
    """
    brain = AVSeparationBrain(
        modules=modules,
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts={"device": "cpu", **run_opts},
    )
    brain._compile()  # does nothing unless told to, as in its fit
    brain.init_optimizers()
    brain.modules.train()
    brain.epoch = 1

    def step():
        brain.step += 1
        return float(brain.fit_batch(batch))

    return step
