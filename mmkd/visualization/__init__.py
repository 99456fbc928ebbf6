from mmkd import registry  # noqa: F401  first: it names a missing extra

from .panel import draw_panel, panel_pixels
from .panel_column import (
    PanelColumn,
    agreement_column,
    class_columns,
    error_column,
    kl_column,
    panel_columns,
)
from .panel_hook import PanelHook
from .panel_row import PanelRow, evenly_spaced, image_path, panel_rows

__all__ = [
    'PanelColumn',
    'PanelHook',
    'PanelRow',
    'agreement_column',
    'class_columns',
    'draw_panel',
    'error_column',
    'evenly_spaced',
    'image_path',
    'kl_column',
    'panel_columns',
    'panel_pixels',
    'panel_rows',
]
