"""Keeps other packages' noise off the user's screen."""

import io
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec


def quiet() -> None:
    """Silences what mmcv, mmseg and mmpretrain say when they are merely imported.

    Call it before importing them. What a run has to say, theirs or ours, stays.
    """
    for module in ('mmcv', 'mmengine', 'mmseg', 'mmpretrain'):
        warnings.filterwarnings('ignore', module=rf'{module}(\.|$)')
    warnings.filterwarnings('ignore', category=DeprecationWarning)
    warnings.filterwarnings('ignore', category=FutureWarning)
    if find_spec('mmseg') is not None:
        with redirect_stdout(io.StringIO()):  # it prints what it could not import
            import_module('mmseg.datasets')
