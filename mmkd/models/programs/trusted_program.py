"""Programs whose code is executed, since the user trusts it."""

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from mmkd.errors import UserError

from .program import KEY, Program, check_program, one_line, sibling


class TrustedProgram(Program):
    """Program that PyTorch's own loader loads, which can execute code of the file.

    Args:
        file: Path of a file of ``torch.jit.save`` or ``torch.export.save``.
        key: Config key that contains the path, for error messages.

    Raises:
        UserError: for a missing or damaged file.
    """

    def __init__(self, file: str, key: str = KEY) -> None:
        path, what = check_program(file, key)
        super().__init__(what, key)
        print_log(
            f'{what} is executed as code, because {sibling(key, "allow_code")} is set',
            'current',
            logging.WARNING,
        )
        try:
            exported = path.suffix.lower() == '.pt2'
            self.program = torch.export.load(path) if exported else None
            network = (
                self.program.module()
                if self.program
                else torch.jit.load(path, map_location='cpu').eval()
            )
        except Exception as error:  # of any kind, as it runs the code of the file
            raise UserError(
                f'{what} cannot be loaded: {one_line(error)}; export it again'
            ) from error
        # In a tuple, as a submodule that torch.export made would refuse eval().
        self.network: tuple[nn.Module] = (network,)
        self.device = torch.device('cpu')

    def run(self, images: Tensor) -> Any:
        """Return the outputs of the program."""
        if images.device != self.device:
            self.device = images.device
            if self.program:
                self.program = move_to_device_pass(self.program, str(self.device))
                self.network = (self.program.module(),)
            else:
                self.network[0].to(self.device)
        return self.network[0](images)
