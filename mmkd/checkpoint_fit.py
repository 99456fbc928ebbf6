"""Check that the weights of a checkpoint match a network."""

import re
from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from .errors import UserError


def check_fit(
    model: nn.Module,
    state: Mapping[str, torch.Tensor],
    what: str,
    allow_extra: bool = False,
    prefix_key: str = '',
) -> None:
    """Check that a state dict has every weight of a network with the right shape.

    Mean and standard deviation, which checkpoints of early versions of MMEngine
    contain, are compared with those of the network.

    Args:
        model: The network.
        state: The weights.
        what: Config key and path of the weights; the error message starts with it.
        allow_extra: Allow weights that the network does not have. Default False.
        prefix_key: Config key of the prefix of the weights' names, if there is one.

    Raises:
        UserError: if keys are missing, unexpected or of another shape; the message
            lists the first few and the likely cause.
    """
    own = model.state_dict()
    check_prefix(own, state, what, prefix_key)
    state = _without_normalization(model, own, state, what)
    missing = [
        key
        for key in own
        if key not in state and not key.endswith('num_batches_tracked')
    ]
    missing = _without_tied(missing, own, state)
    extra = [] if allow_extra else [key for key in state if key not in own]
    mismatched = [
        f'{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    kinds = {'missing': missing, 'unexpected': extra, 'of another shape': mismatched}
    found = '; '.join(
        f'{len(keys)} {kind} ({", ".join(keys[:3])}{", ..." if len(keys) > 3 else ""})'
        for kind, keys in kinds.items()
        if keys
    )
    if found:
        cause = _likely_cause(missing, extra, mismatched)
        raise UserError(f'{what} does not match the network: {found}; {cause}')


def _without_tied(
    missing: list[str],
    own: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
) -> list[str]:
    """Remove the keys of weights that a network shares with others in the state."""
    present = {own[key].data_ptr() for key in own if key in state and own[key].numel()}
    return [key for key in missing if own[key].data_ptr() not in present]


def check_some_fit(
    model: nn.Module, state: Mapping[str, torch.Tensor], what: str
) -> None:
    """Check that a state dict has at least some weights of a network.

    Raises:
        UserError: if it has none, or if their names have a prefix.
    """
    own = model.state_dict()
    check_prefix(own, state, what)
    if own.keys().isdisjoint(state):
        raise UserError(
            f'{what} has no weight of the network: its names are such as '
            f"'{next(iter(state))}', the network's such as '{next(iter(own))}'; give "
            "another, or pass a backbone's weights as model.backbone.init_cfg="
            "dict(type='Pretrained', checkpoint=...)"
        )


def check_prefix(
    own: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    what: str,
    prefix_key: str = '',
) -> None:
    """Raise a UserError if a network's names have a prefix in a state dict.

    See :func:`check_fit` for the arguments; ``own`` is the network's state dict.
    """
    found = Counter(
        name[: place + 1]
        for name in state
        for place, letter in enumerate(name)
        if letter == '.' and name[place + 1 :] in own
    )
    prefix, number = max(found.items(), key=lambda item: item[1], default=('', 0))
    if number <= len(own) / 2 or len(own.keys() & state.keys()) > len(own) / 2:
        return
    if not re.fullmatch(r'[\w.]+', prefix):  # not to be pasted into a shell
        return
    fix = f"load them with {prefix_key}='{prefix}'"
    if not prefix_key:
        path = what.partition(': ')[2]
        fix = (
            'save a copy without it: python -c "import torch; from mmkd.checkpoint '
            f"import load_weights; torch.save(load_weights({path}, 'checkpoint', "
            f"prefix='{prefix}')[0], 'plain.pth')\""
        )
    raise UserError(
        f"{what} does not match the network: its names begin with '{prefix}' there; "
        f'{fix}'
    )


def _without_normalization(
    model: nn.Module,
    own_state: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    what: str,
) -> dict[str, torch.Tensor]:
    """Remove mean and std of the data preprocessor, checking that they are equal."""
    preprocessor = getattr(model, 'data_preprocessor', None)
    state = dict(state)
    for name in ('mean', 'std'):
        key = f'data_preprocessor.{name}'
        if key not in state or key in own_state:
            continue
        theirs, ours = state.pop(key), getattr(preprocessor, name, None)
        theirs = theirs.flatten().float()
        ours = ours.flatten().float().cpu() if isinstance(ours, torch.Tensor) else None
        if ours is None or not torch.equal(ours, theirs):
            raise UserError(
                f'{what} was trained with {key}={_short(theirs)}, but its config has '
                f'{_short(ours)}; set that of the config'
            )
    return state


def _short(values: torch.Tensor | None) -> str:
    """Return the digits of a mean or std that matter."""
    if values is None:
        return 'none'
    return f'[{", ".join(f"{value:.6g}" for value in values.tolist())}]'


def check_finite(state: Mapping[str, torch.Tensor], what: str) -> None:
    """Raise a UserError if weights are NaN or infinite, naming the first few.

    Args:
        state: The weights.
        what: Description of the weights; the error message starts with it.
    """
    bad = [name for name, value in state.items() if not value.isfinite().all()]
    if bad:
        names = f'{", ".join(bad[:3])}{", ..." if len(bad) > 3 else ""}'
        raise UserError(
            f'{what} has NaN or infinite weights in {len(bad)} of {len(state)} tensors '
            f'({names}): its training diverged, or the file is damaged; give another'
        )


def _likely_cause(missing: list[str], extra: list[str], mismatched: list[str]) -> str:
    """Return the most common cause of such a mismatch."""
    different = ' '.join(missing + extra)
    if 'backbone.stem.' in different and 'backbone.conv1.' in different:
        return 'do the stems differ, ResNetV1c (R101) and ResNet (R101b)?'
    if mismatched and all('conv_seg' in key or 'fc' in key for key in mismatched):
        return 'was it trained on other classes?'
    if extra and not missing:
        return 'does the config lack a head or layers that the checkpoint has?'
    return 'does it belong to another config?'
