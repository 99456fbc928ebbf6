"""Hooks that a model needs whatever runs it."""

import functools

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner


def let_models_bring_hooks() -> None:
    """Has every Runner register the ``runner_hooks`` of its model beside the config's.

    But for those of a type that the config already has, with other arguments say.

    A Distiller writes and reads what its losses learn with each checkpoint. MMEngine
    offers a model no way to ask for that, and a config line can be forgotten, here or
    in mmseg's own train.py, with nothing to show for it until a run is resumed.
    """
    register = Runner.register_hooks
    if hasattr(register, '__wrapped__'):
        return

    @functools.wraps(register)
    def register_hooks(runner: Runner, *args, **kwargs) -> None:
        register(runner, *args, **kwargs)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        present = {type(hook).__name__ for hook in runner.hooks}
        for hook in getattr(model, 'runner_hooks', ()):
            if hook['type'].rpartition('.')[2] not in present:
                runner.register_hook(dict(hook))

    Runner.register_hooks = register_hooks
