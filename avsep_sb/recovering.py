"""What every Brain here does with its checkpoints.

Authors
 * avsep_sb contributors
"""

from speechbrain.core import Brain
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from speechbrain.utils.logger import get_logger

from avsep_sb.checkpoints import require_best, set_torn_checkpoints_aside
from avsep_sb.compiling import check_compiler, compile_repeated
from avsep_sb.errors import ConfigError

logger = get_logger(__name__)


class RecoveringBrain(Brain):
    """A Brain that goes on after a kill, whatever the kill left behind.

    Its fit begins with the newest checkpoint that is whole, and its test with
    the best one: one that has none raises ``CheckpointError`` instead of
    testing the weights it was built with.

    Example
    -------
    >>> import torch
    >>> from speechbrain.utils.checkpoints import Checkpointer
    >>> folder = getfixture("tmp_path")
    >>> (folder / "CKPT+torn").mkdir()
    >>> net = torch.nn.Linear(1, 1)
    >>> brain = RecoveringBrain(
    ...     {"net": net}, checkpointer=Checkpointer(folder, {"net": net})
    ... )
    >>> brain.on_fit_start()
    >>> [path.name for path in folder.iterdir()]
    ['torn+CKPT+torn']
    """

    def on_fit_start(self):
        """Sets torn checkpoints aside, then recovers the newest whole one."""
        self._set_torn_checkpoints_aside()
        super().on_fit_start()

    def on_evaluate_start(self, max_key=None, min_key=None):
        """Loads the best checkpoint; without one there is nothing to test."""
        self._set_torn_checkpoints_aside()
        require_best(self.checkpointer, max_key, min_key)
        super().on_evaluate_start(max_key=max_key, min_key=min_key)

    def _compile(self):
        """As SpeechBrain's; says in one sentence what cannot be compiled."""
        if self.compile:
            check_compiler(self.device)
        try:
            super()._compile()
        except Exception as err:  # torch.jit's have no base of their own
            if not self.jit:
                raise
            raise ConfigError(
                "--jit: TorchScript cannot take these modules "
                f"({str(err).strip().splitlines()[0].rstrip(':')}); give "
                "--compile instead, or neither."
            ) from err
        for name, module in self.modules.items():
            # SpeechBrain compiles nothing yet, but notes what to compile:
            # all cycles unrolled.
            whole = getattr(module, "_orig_mod", None)
            if whole is not None and compile_repeated(
                whole,
                mode=self.compile_mode,
                fullgraph=self.compile_using_fullgraph,
                dynamic=self.compile_using_dynamic_shape_tracing,
            ):
                self.modules[name] = whole

    def _set_torn_checkpoints_aside(self):
        if if_main_process():
            for name in set_torn_checkpoints_aside(
                self.checkpointer.checkpoints_dir
            ):
                logger.warning(
                    "Checkpoint %s was cut off while it was written; "
                    "it is set aside and an older one is used.",
                    name,
                )
        ddp_barrier()
