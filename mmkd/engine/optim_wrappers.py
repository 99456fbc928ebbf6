"""Access to the optimizer wrappers of a training with one or several optimizers."""

from mmengine.optim import OptimWrapper, OptimWrapperDict


def each_wrapper(wrapper: OptimWrapper | OptimWrapperDict) -> list[OptimWrapper]:
    """Return the wrappers of all optimizers."""
    if isinstance(wrapper, OptimWrapperDict):
        return list(wrapper.optim_wrappers.values())
    return [wrapper]
