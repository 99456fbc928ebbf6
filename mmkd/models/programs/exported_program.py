"""Programs of ``torch.export``."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from mmkd.errors import UserError

from .archive import Archive, Refused, read_archive, read_dtype
from .graph import Graph, Name, read_argument
from .program import KEY, Program, allow, check_program, one_line

# A symbolic size, or a multiple of one, as written by PyTorch 2.7 or newer, and before.
SIZE = re.compile(
    r"(?:Mul\(Integer\((\d+)\), )?Symbol\('(\w+)'[^()]*\)\)?|(?:(\d+)\*)?([a-z]\w*)"
)


class ExportedProgram(Program):
    """Program of ``torch.export.save``, a ``.pt2`` file.

    The file is read as data: PyTorch's loader, which can execute code, is not used.
    Only programs of PyTorch's own operators without side effects are run.

    Args:
        file: Path of the file.
        key: Config key that contains the path, for error messages.

    Raises:
        UserError: for a missing, damaged or refused file.
    """

    def __init__(self, file: str, key: str = KEY) -> None:
        path, what = check_program(file, key)
        try:
            archive = read_archive(path)
            graph = Graph(archive.program['graph_module']['graph'])
            images, values = _read_inputs(archive)
            user, spec = _read_outputs(archive.program)
            meta = archive.program['graph_module']['graph']['tensor_values'][images]
            limits = archive.program['range_constraints']
            sizes = [_read_size(entry, limits) for entry in meta['sizes']]
            dtype = read_dtype(meta['dtype'])
        except Refused as error:
            raise UserError(
                f'{what} is refused, because {error}; {allow("torch.export.load", key)}'
            ) from error
        except Exception as error:  # JSON of another structure raises various types
            raise UserError(
                f'{what} is not a complete program of torch.export '
                f'({one_line(error)}): export it again with torch.export.save'
            ) from error
        super().__init__(what, key, sizes, dtype)
        self.graph, self.images, self.user, self.spec = graph, images, user, spec
        self.values = values
        for n, name in enumerate(values):
            if isinstance(values[name], Tensor):
                self.register_buffer(f'tensor_{n}', values[name], persistent=False)
                values[name] = Name(f'tensor_{n}')

    def run(self, images: Tensor) -> Any:
        """Return the outputs in the structure that the network returned."""
        values = {
            name: getattr(self, value.name) if isinstance(value, Name) else value
            for name, value in {**self.values, self.images: images}.items()
        }
        inputs = [values[name] for name in self.graph.inputs]
        found = self.graph.run(inputs, images.device)
        leaves = [value for value, user in zip(found, self.user, strict=True) if user]
        return _nest(self.spec, iter(leaves))


def _read_inputs(archive: Archive) -> tuple[str, dict[str, Any]]:
    """Return the name of the images, and the values of the other inputs by name."""
    found, values = [], {}
    for entry in archive.program['graph_module']['signature']['input_specs']:
        ((kind, spec),) = entry.items()
        if kind == 'constant_input':
            values[spec['name']] = read_argument(spec['value'])
            continue
        argument = spec['arg']
        name = read_argument(argument) if kind == 'user_input' else argument['name']
        if kind == 'user_input':
            found.append(name)
        elif kind in ('parameter', 'buffer', 'tensor_constant'):
            values[name] = archive.tensors[spec[f'{kind}_name']]
        else:
            raise Refused(f'its input {name!r} is a {kind}')
    if len(found) != 1 or not isinstance(found[0], Name):
        raise Refused(f'it has {len(found)} inputs instead of one, the images')
    return found[0].name, values


def _read_outputs(program: Mapping[str, Any]) -> tuple[list[bool], Mapping]:
    """Return which outputs are the network's, and their structure."""
    outputs = program['graph_module']['signature']['output_specs']
    user = ['user_output' in entry for entry in outputs]
    flat = dict(type='list', context='null', children_spec=[{'type': None}] * sum(user))
    calls = program['graph_module']['module_call_graph']
    signature = next((call['signature'] for call in calls if not call['fqn']), None)
    _, spec = json.loads(signature['out_spec']) if signature else (1, flat)
    _nest(spec, iter(user))  # raises an error for another structure
    return user, spec


def _nest(spec: Mapping[str, Any], leaves: Iterator) -> Any:
    """Return leaves in the structure that the network returned: dicts and lists."""
    if spec['type'] is None:
        return next(leaves)
    found = [_nest(child, leaves) for child in spec['children_spec']]
    keys = json.loads(spec['context'] or 'null')
    if isinstance(keys, list) and len(keys) == len(found):
        return dict(zip(map(str, keys), found, strict=True))
    return found


def _read_size(size: Mapping[str, Any], limits: Mapping[str, Mapping]) -> range:
    """Return the sizes of an axis that the program accepts."""
    if 'as_int' in size:
        return range(size['as_int'], size['as_int'] + 1)
    found = SIZE.fullmatch(size['as_expr']['expr_str'])
    factor, name, old_factor, old_name = found.groups() if found else [''] * 4
    step = int(factor or old_factor or 1)
    limit = limits.get(name or old_name or '', {})
    low, high = limit.get('min_val') or 0, limit.get('max_val')
    # As in PyTorch, a minimum of 2 means that size 1 was not considered, not refused.
    start = step * low if low > 2 else 0
    stop = sys.maxsize if high is None else min(step * high + 1, sys.maxsize)
    return range(start, stop, step)
