from .distill_hook import DistillHook
from .last_validation_hook import LastValidationHook
from .save_on_signal_hook import SaveOnSignalHook

__all__ = ['DistillHook', 'LastValidationHook', 'SaveOnSignalHook']
