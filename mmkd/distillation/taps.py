"""Recording of taps, the modules whose outputs a loss compares."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from mmkd.engine.num_classes import segmentation_head
from mmkd.errors import UserError

from .tap_output import logits_of, scores_and_masks

ENCODE_DECODE = 'encode_decode'  # mmseg's method, a tap of teachers


class TapOutputs(dict):
    """Outputs by tap; raises a UserError for a tap without output.

    Attributes:
        of_masks: Taps whose logits are those of a mask classifier.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_masks: set[str] = set()
        self._versions: dict[str, int] = {}

    def keep(self, tap: str, output: Tensor) -> None:
        """Set the output of a tap, which must not change from now on."""
        self[tap] = output
        # Neither compiled code nor inference tensors count changes.
        if not torch.compiler.is_compiling() and not output.is_inference():
            self._versions[tap] = output._version

    def check_unchanged(self) -> None:
        """Raise a UserError if an output was changed in place after its module."""
        for tap, version in self._versions.items():
            if self[tap]._version != version:
                raise UserError(
                    f"the tap '{tap}': a later module changes this output in place, as "
                    'ReLU(inplace=True) and += do, so that it is no longer the output '
                    f"of '{tap}'; name that later module in the loss config, or set "
                    'inplace=False'
                )

    def __missing__(self, tap: str) -> Tensor:
        raise UserError(
            f"the tap '{tap}' was not run in the forward pass (the auxiliary heads of "
            'a teacher never run); name another module in the loss config'
        )


@contextmanager
def record(model: nn.Module, taps: Iterable[str]) -> Iterator[TapOutputs]:
    """Record the logits that the named modules of ``model`` output in this context.

    Within the context, ``forward`` is replaced on the module itself, because mmseg
    calls ``head.forward(x)``, which runs no forward hook. At the end the module is as
    before. For a module that runs several times, the last output is recorded, and of an
    output that is not a tensor, its :func:`~mmkd.distillation.tap_output.logits_of`.

    Raises:
        UserError: for an output that a later module changes in place.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> with record(net, ['0']) as outputs:
        ...     _ = net(torch.zeros(1, 2))
        >>> outputs['0'].shape
        torch.Size([1, 3])
    """
    outputs = TapOutputs()
    with ExitStack() as replaced:
        for tap in set(taps):
            if tap == ENCODE_DECODE:
                replaced.enter_context(_kept(model, ENCODE_DECODE, tap, outputs))
            else:
                module = model.get_submodule(tap)
                replaced.enter_context(_kept(module, 'forward', tap, outputs))
        yield outputs
    outputs.check_unchanged()


@contextmanager
def _kept(
    module: nn.Module, method: str, tap: str, outputs: TapOutputs
) -> Iterator[None]:
    """Keep the logits that a method of a module returns in this context."""
    own = vars(module).get(method)
    original = getattr(module, method)

    def call(*args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        logits = logits_of(output)
        if logits is None:
            raise UserError(
                f"the tap '{tap}' outputs a {type(output).__name__} without a map or "
                'vector of logits; name a module inside it'
            )
        outputs.keep(tap, logits)
        if scores_and_masks(output) is not None:
            outputs.of_masks.add(tap)
        return output

    setattr(module, method, call)
    try:
        yield
    finally:
        if own is None:
            delattr(module, method)
        else:
            setattr(module, method, own)


def default_tap(model: nn.Module, frozen: bool) -> str | None:
    """Return the module that outputs a network's logits; None if there is none.

    * ``decode_head.conv_seg`` of a segmentor, of the last stage of a cascade;
    * of PointRend, whose last stage classifies points: a student's last stage with a
      ``conv_seg``, and ``encode_decode``, the refined logits, of a teacher;
    * ``decode_head`` of a segmentor without ``conv_seg``;
    * ``head.fc`` of a classifier, or ``head``.

    Args:
        model: Segmentor or classifier.
        frozen: True for a teacher.
    """
    names = {name for name, _ in model.named_modules()}
    heads = getattr(model, 'decode_head', None)
    if isinstance(heads, nn.ModuleList):
        stages = [f'decode_head.{i}' for i in range(len(heads))][::-1]
        if frozen and f'{stages[0]}.conv_seg' not in names:
            return ENCODE_DECODE
        usual = [f'{stage}.conv_seg' for stage in stages] + stages
    else:
        usual = ['decode_head.conv_seg', 'decode_head', 'head.fc', 'head']
    return next((name for name in usual if name in names), None)


def find_tap(model: nn.Module, tap: str | None, key: str, frozen: bool = False) -> str:
    """Return the name of a tap after checking that the module exists.

    For None, return the :func:`default_tap`.

    Raises:
        UserError: for an unknown module, with the closest names, and for a network
            without classes; the message names the config ``key``.
    """
    if any(kind.__name__ == 'DepthEstimator' for kind in type(model).__mro__):
        raise UserError(
            f'{key}: the network is a DepthEstimator, which outputs depths instead of '
            'scores of classes; use a segmentor or classifier'
        )
    if tap is None:
        tap = default_tap(model, frozen)
        if tap is None:
            raise UserError(
                f'{key}: the network has neither a decode_head nor a head, the default '
                'taps; set it to the name of the module that outputs the logits'
            )
        return tap
    names = [name for name, _ in model.named_modules() if name]
    if tap == ENCODE_DECODE and frozen and hasattr(model, ENCODE_DECODE):
        return tap
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
    module = model if tap == ENCODE_DECODE else model.get_submodule(tap)
    return getattr(module, 'out_channels', getattr(module, 'out_features', None))


def num_classes(model: nn.Module) -> int | None:
    """Return the number of a network's outputs; None if it is unknown."""
    head = segmentation_head(model)
    if head is None:
        head = getattr(model, 'head', None)
    return getattr(head, 'out_channels', None) or getattr(head, 'num_classes', None)
