"""Loading of a program by the suffix of its file."""

from pathlib import Path

from mmkd.errors import UserError

from .exported_program import ExportedProgram
from .onnx_program import OnnxProgram
from .program import KEY, Program, allow, sibling
from .trusted_program import TrustedProgram


def load_program(file: str, key: str = KEY, allow_code: bool = False) -> Program:
    """Load a program of ``torch.export`` (.pt2), ONNX (.onnx) or TorchScript.

    Args:
        file: Path of the file.
        key: Config key that contains the path, for error messages.
        allow_code: Load also files of TorchScript, and any of ``torch.export``, with
            PyTorch's loaders, which can execute their code. Default False.

    Raises:
        UserError: for a missing, damaged or refused file.
    """
    suffix = Path(file).suffix.lower()
    if suffix == '.onnx':
        return OnnxProgram(file, key)
    if allow_code:
        return TrustedProgram(file, key)
    if suffix == '.pt2':
        return ExportedProgram(file, key)
    raise UserError(
        f"{key}: '{file}' is neither a program of torch.export (.pt2) nor of ONNX "
        f'(.onnx): name the network of its weights in {sibling(key, "model.module")}; '
        f'a program of TorchScript can execute code: {allow("torch.jit.load", key)}'
    )
