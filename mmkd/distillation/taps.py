"""Recording of taps, the modules whose outputs a loss compares."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from torch import Tensor, nn

from mmkd.errors import UserError


class TapOutputs(dict):
    """Outputs by tap; raises a UserError for a tap without output."""

    def __missing__(self, tap: str) -> Tensor:
        raise UserError(
            f"the tap '{tap}' was not run in the forward pass (the auxiliary heads of "
            'a teacher never run); name another module in the loss config'
        )


@contextmanager
def record(model: nn.Module, taps: Iterable[str]) -> Iterator[TapOutputs]:
    """Record the outputs of the named modules of ``model`` within this context.

    The forward hooks are removed at the end of the context, so that a deep copy of the
    network, such as EMAHook's, has none. For a module that runs several times, the last
    output is recorded.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> with record(net, ['0']) as outputs:
        ...     _ = net(torch.zeros(1, 2))
        >>> outputs['0'].shape
        torch.Size([1, 3])
    """
    outputs = TapOutputs()

    def keep(tap: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            if not isinstance(output, Tensor):
                raise UserError(
                    f"the tap '{tap}' outputs a {type(output).__name__}, not a tensor; "
                    'name a module inside it'
                )
            outputs[tap] = output

        return hook

    handles = [
        model.get_submodule(tap).register_forward_hook(keep(tap)) for tap in set(taps)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def find_tap(model: nn.Module, tap: str | None, key: str) -> str:
    """Return the name of a tap after checking that the module exists.

    For None, return the default: ``decode_head.conv_seg`` of a segmentor (of the last
    stage of a cascade) or ``head.fc`` of a classifier.

    Raises:
        UserError: for an unknown module; the message names the config ``key`` and the
            closest names.
    """
    names = [name for name, _ in model.named_modules() if name]
    if tap is None:
        stages = getattr(model, 'decode_head', None)
        last = len(stages) - 1 if isinstance(stages, nn.ModuleList) else 0
        usual = ['decode_head.conv_seg', f'decode_head.{last}.conv_seg', 'head.fc']
        found = [name for name in usual if name in names]
        if not found:
            raise UserError(
                f'{key}: the network has none of the default taps {", ".join(usual)}; '
                'set it to the name of the module that outputs the logits'
            )
        return found[0]
    if tap not in names:
        leaf = tap.rpartition('.')[2]
        near = get_close_matches(tap, names, n=3, cutoff=0.6)
        near += [name for name in names if name.endswith(f'.{leaf}')]
        hint = f'did you mean {" or ".join(dict.fromkeys(near[:3]))}?' if near else ''
        hint = hint or "choose from the network's named_modules()"
        raise UserError(f"{key}: the network has no module '{tap}'; {hint}")
    return tap


def num_outputs(model: nn.Module, tap: str) -> int | None:
    """Return the number of output channels of a tap; None if it is unknown."""
    module = model.get_submodule(tap)
    return getattr(module, 'out_channels', getattr(module, 'out_features', None))
