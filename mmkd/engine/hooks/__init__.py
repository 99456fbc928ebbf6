from .distill_hook import DistillHook
from .save_on_signal_hook import SaveOnSignalHook

__all__ = ['DistillHook', 'SaveOnSignalHook']
