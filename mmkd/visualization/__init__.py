from mmkd import registry  # noqa: F401  first: it says which extra is missing

from .columns import Column, agreement, comparison, divergence, error, maps
from .panel import draw_panel, panel_pixels
from .predictions import evenly_spaced, image_path, panel_rows
from .row import Row

__all__ = [
    'Column',
    'Row',
    'agreement',
    'comparison',
    'divergence',
    'draw_panel',
    'error',
    'evenly_spaced',
    'image_path',
    'maps',
    'panel_pixels',
    'panel_rows',
]
