"""Parts that segmentors and classifiers around a network of another library share."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.model.weight_init import initialize
from torch import Tensor, nn

from mmkd.errors import UserError
from mmkd.functional import mask_logits

from .import_module import build_module

# Sizes that most networks accept, among them those with a fixed one.
SIZES = ((64, 64), (224, 224))
Output = str | int | Sequence[str | int] | None


class TorchNetwork(BaseModel):
    """Base of models whose network is any ``torch.nn.Module``.

    For optimizers, hooks and checkpoints it behaves like that module: ``state_dict()``
    has the module's own keys. The module has initialized itself when it was built;
    ``init_weights`` changes it only for an ``init_cfg``.

    Attributes:
        module: The network.
        classes: Names of its classes, or None.
        failure: Why it could not be tried out; '' if it could.
    """

    failure = ''
    module: nn.Module
    classes: Sequence[str] | None
    _is_init: bool

    @property
    def backbone(self) -> nn.Module:
        """The module, under mmseg's name of what is applied to the images."""
        return self.module

    def try_out(self, head: nn.Module, sizes: Iterable[tuple[int, int]]) -> None:
        """Run the network on a black image, so that wrong outputs are found at once.

        Args:
            head: Gets the outputs; it raises a UserError if they are not logits.
            sizes: Sizes of the image to try, until the network accepts one.
        """
        mean = getattr(self.data_preprocessor, 'mean', torch.zeros(1))
        modes = {module: module.training for module in self.modules()}
        parameter = next(self.module.parameters(), mean)
        self.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                for size in sizes:
                    channels = mean.numel() if mean.numel() > 1 else 3
                    image = parameter.new_zeros(1, channels, *size)
                    try:
                        outputs = self.module(image)
                    except Exception as error:  # it needs another size
                        reason = f'{type(error).__name__}: {error}'
                        self.failure = ' '.join(reason.split())
                        continue
                    self.failure = ''
                    head(outputs)
                    return
        finally:
            for module, training in modes.items():
                module.training = training

    def init_weights(self) -> None:
        """Load the weights of ``init_cfg``, such as pretrained ones."""
        if self.init_cfg and not self._is_init:
            initialize(self, self.init_cfg)
        self._is_init = True

    def renamed(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the weights of a file under the names that the module has for them.

        The files of transformers keep older names of some networks. Its own loader
        renames them.
        """
        kind: Any = type(self.module)
        if not hasattr(kind, 'base_model_prefix') or state.keys() >= set(
            self.module.state_dict()
        ):
            return state
        config = copy.deepcopy(self.module.config)
        network, report = kind.from_pretrained(
            None, config=config, state_dict=dict(state), output_loading_info=True
        )
        complete = not report['missing_keys'] and not report['unexpected_keys']
        return network.state_dict() if complete else state

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return the module's state dict, so that checkpoints are the module's."""
        return self.module.state_dict(*args, **kwargs)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args: object
    ) -> None:
        """Load the module's state dict; keep what else the model has, as of losses."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name = key.removeprefix(prefix)
            state_dict[f'{prefix}module.{name}'] = state_dict.pop(key)
        for name, child in self.named_children():
            if name != 'module':
                child.state_dict(destination=state_dict, prefix=f'{prefix}{name}.')
        super()._load_from_state_dict(state_dict, prefix, *args)


def as_module(module: Mapping | nn.Module, allow_code: bool) -> nn.Module:
    """Return a module, built if it is a config."""
    if isinstance(module, nn.Module):
        return module
    if not isinstance(module, Mapping):
        raise UserError(
            "model.module: it must be dict(type='IMPORT.PATH', ...) with the arguments "
            f'of the network, not {module!r}'
        )
    return build_module(module, 'model.module', allow_code)


class LogitsMixin:
    """Parameter-free head that takes the logits from the outputs of a network.

    Attributes:
        output: Where the logits are; see :class:`TorchSegmentor`.
        ndim: Number of their dimensions.
        config_key: Config key of the model, for error messages.
    """

    output: Output
    ndim: int
    config_key = 'model'

    def logits(self, outputs: Any) -> Tensor:
        """Return the logits among the outputs.

        Raises:
            UserError: if they are not there, or are not logits.
        """
        try:
            found = self._find(outputs)
            if not isinstance(found, Tensor):
                raise ValueError(
                    f'the network returns {_describe(found)}; set it to the key, '
                    'attribute or index of the logits in it'
                )
            if found.ndim != self.ndim:
                raise ValueError(
                    f'the network returns {_describe(found)}; {EXPECTED[self.ndim]}'
                )
        except ValueError as error:
            raise UserError(f'{self.config_key}.output: {error}') from error
        return found

    def _find(self, outputs: Any) -> Any:
        """Return what ``output`` names, combined if it is two tensors."""
        if not isinstance(self.output, list | tuple):
            return _pick(outputs, self.output)
        parts = [_pick(outputs, place) for place in self.output]
        if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
            raise ValueError(
                'a list must name two tensors, the logits of the classes and of the '
                'masks of a mask classifier'
            )
        return mask_logits(*parts)


EXPECTED = {
    2: 'a classifier returns logits (N, C); for maps of logits, use '
    'mmkd.TorchSegmentor',
    4: 'a segmentor returns logits (N, C, H, W), which a depth estimator has not; name '
    'them with output, or use mmkd.TorchClassifier for vectors of logits',
}


def _pick(outputs: Any, place: Any) -> Any:
    """Return the part of a network's outputs at a key, attribute or index."""
    if place is None:
        return outputs
    try:
        if isinstance(place, str) and not isinstance(outputs, Mapping):
            return getattr(outputs, place)
        return outputs[place]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'{place!r} is not in the outputs of the network, {_describe(outputs)}'
        ) from error


def _describe(outputs: Any) -> str:
    """Describe the outputs of a network."""
    if isinstance(outputs, Tensor):
        return f'a tensor of shape {tuple(outputs.shape)}'
    kind = f'a {type(outputs).__name__}'
    if isinstance(outputs, Mapping):
        return f'{kind} of {", ".join(map(repr, outputs))}'
    if isinstance(outputs, list | tuple):
        return f'{kind} of {len(outputs)}'
    return kind
