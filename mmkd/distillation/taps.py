"""Taps: named modules whose outputs are recorded while a network runs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from torch import Tensor, nn

from mmkd.errors import UserError


class TapOutputs(dict):
    """Outputs by tap; explains a missing one."""

    def __missing__(self, tap: str) -> Tensor:
        raise UserError(
            f"the tap '{tap}' took no part in the forward pass (an auxiliary head of a "
            'teacher never runs); name another in the loss config'
        )


@contextmanager
def record(model: nn.Module, taps: Iterable[str]) -> Iterator[TapOutputs]:
    """Record the outputs of the named modules of ``model`` within this context.

    The hooks live no longer than the context, so a deep copy of a network (EMAHook
    makes one) never writes into another's record. A module that runs twice leaves its
    last output.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> with record(net, ['0']) as outputs:
        ...     _ = net(torch.zeros(1, 2))
        >>> outputs['0'].shape
        torch.Size([1, 3])
    """
    outputs = TapOutputs()

    def keep(tap: str):
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            if not isinstance(output, Tensor):
                raise UserError(
                    f"the tap '{tap}' gives a {type(output).__name__}, not a tensor; "
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
    """Return ``tap``, or for None the network's default, if it is a module's name.

    Defaults are ``decode_head.conv_seg`` of a segmentor, of a cascade its last stage's,
    and ``head.fc`` of a classifier.

    Raises:
        UserError: naming the config ``key``, with the nearest names.
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
                'name the module whose output is the logits'
            )
        return found[0]
    if tap not in names:
        leaf = tap.rpartition('.')[2]
        near = get_close_matches(tap, names, n=3, cutoff=0.6)
        near += [name for name in names if name.endswith(f'.{leaf}')]
        hint = f'did you mean {" or ".join(dict.fromkeys(near[:3]))}?' if near else ''
        raise UserError(
            f"{key}: the network has no module '{tap}'; {hint or 'see named_modules()'}"
        )
    return tap


def num_outputs(model: nn.Module, tap: str) -> int | None:
    """Return the number of output channels of the module at ``tap``, if it is known."""
    module = model.get_submodule(tap)
    return getattr(module, 'out_channels', getattr(module, 'out_features', None))
