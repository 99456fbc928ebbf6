"""Execution of a program of ``torch.export``, given as data.

Every operator is one of :mod:`.operators`; its arguments are tensors, numbers, strings
and types. Symbolic sizes are computed by the operators, so that their expressions need
not be parsed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .archive import Refused, read_dtype
from .operators import find_operator

LAYOUTS = {7: torch.strided}
MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
# Operators that run a graph: with and without gradients, and in another precision.
BLOCKS = {
    'torch.ops.higher_order.wrap_with_set_grad_enabled': 1,
    'torch.ops.higher_order.wrap_with_autocast': 4,
}
PLAIN = dict(as_int=int, as_bool=bool, as_string=str)
SYMBOLS = ('as_sym_int', 'as_sym_float', 'as_sym_bool')
# Arguments that are true in training mode.
TRAINING = dict(batch_norm='training', dropout='train', dropout_='train')


@dataclass(frozen=True)
class Name:
    """Reference to a value that an earlier operator computed."""

    name: str


class SameDevice:
    """Device on which the program runs, whichever it was exported on."""


@dataclass(frozen=True)
class Step:
    """One operator with its arguments, and the names that its outputs get."""

    target: str
    run: Callable
    args: list
    kwargs: dict[str, Any]
    outputs: list
    last: list[str]  # values that no later step needs


class Graph:
    """Sequence of operators.

    Args:
        graph: Graph of the schema of ``torch.export``.

    Raises:
        Refused: for operators and arguments that are not known to be harmless.
    """

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self.inputs = [
            next(names_in(read_argument(one)), '') for one in graph['inputs']
        ]
        self.outputs = [read_argument(one) for one in graph['outputs']]
        self.steps: list[Step] = []
        needed = set(names_in(self.outputs))
        for node in reversed(graph['nodes']):
            step = _read_node(node, needed)
            needed.update(names_in([step.args, list(step.kwargs.values())]))
            self.steps.append(step)
        self.steps.reverse()

    def run(self, values: Sequence[object], device: torch.device) -> list:
        """Return the outputs for the values of the inputs."""
        known = dict(zip(self.inputs, values, strict=True))
        for step in self.steps:
            args = _resolve(step.args, known, device)
            kwargs = _resolve(step.kwargs, known, device)
            try:
                found = step.run(*args, **kwargs)
            except RuntimeError as error:
                raise RuntimeError(f'{step.target}: {error}') from error
            if len(step.outputs) < 2 and not isinstance(step.run, _Block):
                found = [found] if step.outputs else []
            for output, value in zip(step.outputs, found, strict=True):
                _assign(output, value, known)
            for name in step.last:
                known.pop(name, None)
        return _resolve(self.outputs, known, device)


def _read_node(node: Mapping[str, Any], needed: set[str]) -> Step:
    """Read an operator and its arguments; ``needed`` are names that later steps use."""
    target = node['target']
    args = [read_argument(entry['arg']) for entry in node['inputs']]
    kwargs: dict[str, Any] = {}
    outputs = [read_argument(output) for output in node['outputs']]
    if target in BLOCKS:
        run: Callable = _Block(args, BLOCKS[target])
        args = args[BLOCKS[target] + 1 :]
    else:
        run = find_operator(target)
        if target.startswith('torch.ops.'):
            names = [entry['name'] for entry in node['inputs']]
            args, kwargs = [], dict(zip(names, args, strict=True))
            _check_eval(target, kwargs)
    used = {*names_in([args, list(kwargs.values()), outputs])}
    return Step(target, run, args, kwargs, outputs, sorted(used - needed))


def _check_eval(target: str, kwargs: Mapping[str, object]) -> None:
    """Refuse operators in training mode."""
    name = TRAINING.get(target.split('.')[3])
    if name and kwargs.get(name) is True:
        raise Refused(
            f'it was exported in training mode ({target} with {name}=True): call '
            '.eval() on the network before torch.export.export'
        )


class _Block:
    """Graph within a context: gradients on or off, or autocast."""

    def __init__(self, args: list, position: int) -> None:
        *self.settings, graph = args[: position + 1]
        if not isinstance(graph, Graph):
            raise Refused('a block of it has no graph')
        self.graph = graph

    def __call__(self, *args: object) -> list:
        tensors = [value for value in args if isinstance(value, Tensor)]
        device = tensors[0].device if tensors else torch.device('cpu')
        with self._context(device):
            return self.graph.run(args, device)

    def _context(self, device: torch.device) -> AbstractContextManager:
        if len(self.settings) == 1:
            return torch.set_grad_enabled(bool(self.settings[0]))
        _, dtype, enabled, cache = self.settings
        return torch.autocast(device.type, dtype, enabled, cache)


def read_argument(argument: Mapping[str, Any]) -> Any:
    """Return the value of an argument, in which a :class:`Name` stands for a result."""
    ((kind, value),) = argument.items()
    if kind == 'as_none':
        return None
    if kind == 'as_tensor':
        return Name(str(value['name']))
    if kind == 'as_tensors':
        return [Name(str(entry['name'])) for entry in value]
    if kind == 'as_optional_tensor':
        return read_argument(value)
    if kind == 'as_optional_tensors':
        return [read_argument(entry) for entry in value]
    if kind in PLAIN and type(value) is PLAIN[kind]:
        return value
    if kind == 'as_float':
        return float(value)
    if kind == 'as_complex':
        return complex(float(value['real']), float(value['imag']))
    if kind in SYMBOLS:
        ((inner, content),) = value.items()
        if inner == 'as_name':
            return Name(str(content))
        return read_argument(value)
    if kind[-1:] == 's' and kind[:-1] in (*PLAIN, 'as_float', *SYMBOLS):
        return [read_argument({kind[:-1]: entry}) for entry in value]
    if kind == 'as_scalar_type':
        return read_dtype(value)
    if kind == 'as_memory_format' and value in MEMORY_FORMATS:
        return MEMORY_FORMATS[value]
    if kind == 'as_layout' and value in LAYOUTS:
        return LAYOUTS[value]
    if kind == 'as_device':
        return SameDevice()
    if kind == 'as_graph':
        return Graph(value['graph'])
    raise Refused(f'it has an argument of the kind {kind!r}')


def names_in(value: object) -> Iterator[str]:
    """Yield the names that a possibly nested value refers to."""
    if isinstance(value, Name):
        yield value.name
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)


def _resolve(value: Any, known: Mapping[str, object], device: torch.device) -> Any:
    """Replace names by their values, and the device of the export by ``device``."""
    if isinstance(value, Name):
        return known[value.name]
    if isinstance(value, SameDevice):
        return device
    if isinstance(value, list):
        return [_resolve(item, known, device) for item in value]
    if isinstance(value, dict):
        return {key: _resolve(item, known, device) for key, item in value.items()}
    return value


def _assign(output: object, value: Any, known: dict[str, object]) -> None:
    """Store an output under its name, or a list of outputs under theirs."""
    if isinstance(output, Name):
        known[output.name] = value
    elif isinstance(output, list):
        for part, item in zip(output, value, strict=True):
            _assign(part, item, known)
