"""Networks that a file contains as a program: ``torch.export``, ONNX, TorchScript."""

from mmkd import registry  # noqa: F401  first: it names a missing extra

from .exported_program import ExportedProgram
from .load_program import load_program
from .onnx_program import OnnxProgram
from .program import Program
from .trusted_program import TrustedProgram

__all__ = [
    'ExportedProgram',
    'OnnxProgram',
    'Program',
    'TrustedProgram',
    'load_program',
]
