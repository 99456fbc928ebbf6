"""mmkd: knowledge distillation for semantic segmentation on OpenMMLab's stack.

``import mmkd`` and ``mmkd.functional`` need torch alone. With MMEngine installed the
import also opens the scope ``mmkd``, so that ``type='mmkd.Distiller'`` and
``_base_ = 'mmkd::...'`` resolve in any config.
"""

from importlib.util import find_spec

__version__ = '0.1.0'

try:
    _installed = find_spec('mmengine') is not None
except (ImportError, ValueError):  # kept out by an import hook, or in sys.modules
    _installed = False
if _installed:
    from . import registry  # noqa: F401
