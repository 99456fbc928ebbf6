"""ONNX graphs, run by onnxruntime."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmkd.errors import UserError

from .program import ANY, KEY, Program, check_program, one_line

# Operators that onnxruntime itself implements; others need a custom library.
DOMAINS = ('', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft')
COMPILED = 'EPContext'  # runs a compiled library of a hardware vendor
TYPES = {
    'tensor(float)': torch.float32,
    'tensor(float16)': torch.float16,
    'tensor(double)': torch.float64,
    'tensor(uint8)': torch.uint8,
}


class OnnxProgram(Program):
    """ONNX graph, run by onnxruntime on the CPU, or on CUDA if it supports that.

    Images are (N, C, H, W), or (N, H, W, C) in a graph whose last axis has one or three
    channels and whose second has not, as in those of ``mmkd export``. Weights beside
    the graph are read from its own folder only; custom operators are refused.

    Args:
        file: Path of the file.
        key: Config key that contains the path, for error messages.

    Raises:
        UserError: for a missing, damaged or refused file, or a missing onnxruntime.
    """

    def __init__(self, file: str, key: str = KEY) -> None:
        path, what = check_program(file, key)
        missing = [name for name in ('onnx', 'onnxruntime') if find_spec(name) is None]
        if missing:
            raise UserError(
                f"{what} needs {' and '.join(missing)}: run pip install 'mmkd[deploy]'"
            )
        _check_graph(path, what)
        self.session = _open_session(path, what)
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in TYPES:
            found = ', '.join(f'{one.name}: {one.type}' for one in inputs) or 'none'
            raise UserError(
                f'{what} must have one input, images as {" or ".join(TYPES)}, not '
                f'{found}; export it with such an input'
            )
        self.input = inputs[0].name
        self.names = [output.name for output in self.session.get_outputs()]
        sizes = [
            range(size, size + 1) if isinstance(size, int) else ANY
            for size in inputs[0].shape
        ]
        few = (range(1, 2), range(3, 4))
        self.channels_last = len(sizes) == 4 and sizes[3] in few and sizes[1] not in few
        if self.channels_last:
            sizes = [sizes[0], sizes[3], sizes[1], sizes[2]]
        super().__init__(what, key, sizes, TYPES[inputs[0].type])

    def run(self, images: Tensor) -> Any:
        """Return the output, or several by name."""
        if self.channels_last:
            images = images.permute(0, 2, 3, 1)
        array = np.ascontiguousarray(images.cpu().numpy())
        arrays = self.session.run(self.names, {self.input: array})
        outputs = [torch.from_numpy(array).to(images.device) for array in arrays]
        found = dict(zip(self.names, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else found

    def __deepcopy__(self, memo: dict) -> 'OnnxProgram':
        return self  # a session cannot be copied


def _open_session(path: Path, what: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    # A file of onnxruntime's own format would not have been checked.
    options.add_session_config_entry('session.load_model_format', 'ONNX')
    wanted = ['CUDAExecutionProvider'] if torch.cuda.is_available() else []
    found = onnxruntime.get_available_providers()
    providers = [name for name in wanted if name in found] + ['CPUExecutionProvider']
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # onnxruntime raises types of its own
        raise UserError(
            f'{what} cannot be run by onnxruntime: {one_line(error)}; export it again'
        ) from error


def _check_graph(path: Path, what: str) -> None:
    """Raise a UserError for custom operators, or weights outside the graph's folder."""
    import onnx

    try:
        graph = onnx.load(path, load_external_data=False)
        if not graph.graph.node:
            raise ValueError('it has no operators')
    except Exception as error:  # protobuf raises various types
        raise UserError(
            f'{what} is not a complete ONNX graph ({one_line(error)}): download or '
            'export it again'
        ) from error
    own = {function.domain for function in graph.functions}
    for message in _messages(graph):
        kind = message.DESCRIPTOR.name
        if kind == 'NodeProto' and (
            message.domain not in {*DOMAINS, *own} or message.op_type == COMPILED
        ):
            name = f'{message.domain}.{message.op_type}'.lstrip('.')
            raise UserError(
                f"{what} is refused, because its operator '{name}' needs a compiled "
                'library; export it with operators of ONNX only'
            )
        if kind == 'TensorProto':
            for entry in message.external_data:
                if entry.key == 'location':
                    _check_location(path, entry.value, what)


def _messages(message: Any) -> Iterator[Any]:
    """Yield a message of protobuf and all messages in it."""
    pending = [message]
    while pending:
        current = pending.pop()
        yield current
        for field, value in current.ListFields():
            if field.type == field.TYPE_MESSAGE:
                pending.extend(value if field.is_repeated else [value])


def _check_location(path: Path, location: str, what: str) -> None:
    """Raise a UserError for weights that are missing or not in the graph's folder."""
    folder = path.resolve().parent
    file = (folder / location).resolve()
    if not file.is_relative_to(folder):
        raise UserError(
            f"{what} is refused, because it reads '{location}', a file outside its "
            'folder; export it again with the weights beside the graph'
        )
    if not file.is_file():
        raise UserError(
            f"{what} lacks its weights: '{location}' does not exist in its folder; "
            'copy it there'
        )
