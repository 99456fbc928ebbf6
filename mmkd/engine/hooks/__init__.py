"""Hooks of the robust runtime, registered by name."""

from mmkd.engine.checkpoint_hook import SafeCheckpointHook

from .batch_size_hook import BatchSizeHook
from .broadcast_buffers_hook import BroadcastBuffersHook
from .deterministic_hook import DeterministicHook
from .finite_hook import FiniteHook
from .first_prediction_hook import FirstPredictionHook
from .memory_hook import MemoryHook
from .missing_classes_hook import MissingClassesHook
from .resumed_validation_hook import ResumedValidationHook
from .save_on_signal_hook import SaveOnSignalHook
from .skipped_samples_hook import SkippedSamplesHook
from .speed_hook import SpeedHook

__all__ = [
    'BatchSizeHook',
    'BroadcastBuffersHook',
    'DeterministicHook',
    'FiniteHook',
    'FirstPredictionHook',
    'MemoryHook',
    'MissingClassesHook',
    'ResumedValidationHook',
    'SafeCheckpointHook',
    'SaveOnSignalHook',
    'SkippedSamplesHook',
    'SpeedHook',
]
