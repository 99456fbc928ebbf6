from .check_data_hook import CheckDataHook
from .finite_hook import FiniteHook
from .last_validation_hook import LastValidationHook
from .memory_hook import MemoryHook
from .panel_hook import PanelHook
from .position_seed_hook import PositionSeedHook
from .save_on_signal_hook import SaveOnSignalHook

__all__ = [
    'CheckDataHook',
    'FiniteHook',
    'LastValidationHook',
    'MemoryHook',
    'PanelHook',
    'PositionSeedHook',
    'SaveOnSignalHook',
]
