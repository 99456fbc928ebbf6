from .check_data_hook import CheckDataHook
from .distill_hook import DistillHook
from .fidelity_hook import FidelityHook
from .finite_hook import FiniteHook
from .last_validation_hook import LastValidationHook
from .memory_hook import MemoryHook
from .panel_hook import PanelHook
from .position_seed_hook import PositionSeedHook
from .save_on_signal_hook import SaveOnSignalHook

__all__ = [
    'CheckDataHook',
    'DistillHook',
    'FidelityHook',
    'FiniteHook',
    'LastValidationHook',
    'MemoryHook',
    'PanelHook',
    'PositionSeedHook',
    'SaveOnSignalHook',
]
