"""mmkd: knowledge distillation for semantic segmentation on OpenMMLab's stack.

``import mmkd`` and ``mmkd.functional`` require only torch. Configs can use
``runner_type='mmkd.DistillRunner'`` and ``type='mmkd.X'`` without ``custom_imports``.
"""

from importlib import import_module

__version__ = '0.1.0'

_MODULES = dict(
    Runner='mmkd.engine.runner',
    DistillRunner='mmkd.distillation',
    TorchClassifier='mmkd.models.torch_classifier',
    TorchSegmentor='mmkd.models',
)


def __getattr__(name: str) -> object:
    """Import these classes on first use, since they require the OpenMMLab stack."""
    if name not in _MODULES:
        raise AttributeError(f"module 'mmkd' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)
