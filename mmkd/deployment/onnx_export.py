"""Export of a network to ONNX, and sessions that run it."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from mmkd.errors import UserError

from .network import Deployable

if TYPE_CHECKING:  # of an extra
    from onnx import ModelProto
    from onnxruntime import InferenceSession

EXTRA = ('onnx', 'onnxruntime', 'onnxscript')
EXPORTER = (2, 9)  # first PyTorch whose exporter supports dynamic sizes and BN


def check_extra() -> None:
    """Raise a UserError if a package that exporting needs is missing or too old."""
    if torch.__version__ < EXPORTER:
        raise UserError(
            f'exporting needs PyTorch {".".join(map(str, EXPORTER))} or newer, not '
            f'{torch.__version__}; mmkd publish works with this one'
        )
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise UserError(
            f"{', '.join(missing)}: not installed; pip install 'mmkd[deploy]'"
        )


def export_onnx(
    deployable: Deployable,
    size: tuple[int, int],
    dynamic: bool = False,
    opset: int | None = None,
) -> 'ModelProto':
    """Export a network to an ONNX graph for batches of any size.

    Args:
        deployable: The network.
        size: Height and width of its images.
        dynamic: Accept images of any other size as well.
        opset: Version of ONNX's operators. Default: that of PyTorch's exporter.

    Returns:
        A graph from ``images`` to ``labels`` and ``logits``, see :class:`Deployable`.

    Raises:
        UserError: if the network contains what ONNX or the exporter cannot express.
    """
    names = ['batch', 'height', 'width']
    axes = dict(enumerate(names if dynamic else names[:1]))
    example = torch.zeros(2, *size, 3, dtype=torch.uint8)
    try:
        with _silence():
            program = torch.onnx.export(
                deployable,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=['images'],
                output_names=['labels', 'logits'],
                dynamic_shapes=(axes,),
            )
    except Exception as error:  # of the exporter's many parts
        reason = ' '.join(str(error.__cause__ or error).split())[:300]
        fix = 'without --dynamic?' if dynamic else 'another --opset?'
        raise UserError(
            f'--out: the network cannot be exported ({reason}); {fix}'
        ) from error
    return _without_traces(program.model_proto)


def _without_traces(graph: 'ModelProto') -> 'ModelProto':
    """Remove the exporter's notes on the code, with paths of this machine."""
    del graph.graph.value_info[:], graph.graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ''
        del node.metadata_props[:]
    return graph


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's messages off the screen."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)


def note_classes(graph: 'ModelProto', meta: Mapping) -> None:
    """Add names and colors of the classes to a graph, as JSON.

    Args:
        graph: It is changed.
        meta: ``meta`` of the checkpoint.
    """
    for name, value in (meta.get('dataset_meta') or {}).items():
        if name in ('classes', 'palette') and value is not None:
            graph.metadata_props.add(key=name, value=json.dumps(value))


def without_logits(graph: 'ModelProto') -> 'ModelProto':
    """Copy a graph, with the labels as its only output."""
    copy = type(graph)()
    copy.CopyFrom(graph)
    (logits,) = (output for output in copy.graph.output if output.name == 'logits')
    copy.graph.output.remove(logits)
    return copy


def open_session(graph: 'ModelProto') -> 'InferenceSession':
    """Open a graph in onnxruntime, on the CPU, with PyTorch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
