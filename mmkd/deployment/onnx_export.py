"""Export of networks to ONNX, and onnxruntime sessions."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from mmkd.errors import UserError

from .network import Deployable

if TYPE_CHECKING:  # packages of an optional extra
    from onnx import ModelProto
    from onnxruntime import InferenceSession

EXTRA = ('onnx', 'onnxruntime', 'onnxscript')
# First PyTorch version whose exporter supports dynamic sizes and batch normalization.
EXPORTER = (2, 9)


def check_extra(packages: Sequence[str] = EXTRA) -> None:
    """Raise a UserError if a package needed for the export is missing or too old."""
    if tuple(map(int, torch.__version__.split('.')[:2])) < EXPORTER:
        raise UserError(
            f'exporting needs PyTorch {".".join(map(str, EXPORTER))} or newer, not '
            f'{torch.__version__}; upgrade it, or use mmkd publish, which works with '
            'this version'
        )
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(
            f"{', '.join(missing)}: not installed; run pip install 'mmkd[deploy]'"
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
        size: Height and width of the images.
        dynamic: Accept images of any size. Default False.
        opset: Version of the ONNX operator set. Default: that of PyTorch's exporter.

    Returns:
        Graph from ``images`` to ``labels`` and ``logits``; see :class:`Deployable`.

    Raises:
        UserError: if the network has operations that the exporter does not support.
    """
    names = ['batch', 'height', 'width']
    axes = dict(enumerate(names if dynamic else names[:1]))
    example = torch.zeros(2, *size, 3, dtype=torch.uint8)
    try:
        with _silence():
            program: Any = torch.onnx.export(
                deployable,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=['images'],
                output_names=['labels', 'logits'],
                dynamic_shapes=(axes,),
            )
    except Exception as error:  # the exporter raises various types
        reason = ' '.join(str(error.__cause__ or error).split())[:300]
        fix = 'try without --dynamic' if dynamic else 'try another --opset'
        raise UserError(
            f'--out: the network cannot be exported ({reason}); {fix}'
        ) from error
    return _without_traces(program.model_proto)


def _without_traces(graph: 'ModelProto') -> 'ModelProto':
    """Remove the exporter's stack traces, which contain local paths."""
    del graph.graph.value_info[:], graph.graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ''
        del node.metadata_props[:]
    return graph


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress the exporter's messages."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)


def note_classes(graph: 'ModelProto', meta: Mapping) -> None:
    """Add names and colors of the classes to a graph's metadata, as JSON.

    Args:
        graph: Graph, which is modified.
        meta: ``meta`` of the checkpoint.
    """
    for name, value in (meta.get('dataset_meta') or {}).items():
        if name in ('classes', 'palette') and value is not None:
            graph.metadata_props.add(key=name, value=json.dumps(value))


def without_logits(graph: 'ModelProto') -> 'ModelProto':
    """Copy a graph with the labels as its only output."""
    copy = type(graph)()
    copy.CopyFrom(graph)
    (logits,) = (output for output in copy.graph.output if output.name == 'logits')
    copy.graph.output.remove(logits)
    return copy


def open_session(graph: 'ModelProto') -> 'InferenceSession':
    """Open a graph in onnxruntime on the CPU with PyTorch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
