from mmkd import registry  # noqa: F401  first: it says which extra is missing

from .columns import Column, agreement, comparison, divergence, error, maps
from .panel import draw_panel, panel_pixels
from .predictions import image_path, panel_rows, spread
from .row import Row

__all__ = [
    'Column',
    'Row',
    'agreement',
    'comparison',
    'divergence',
    'draw_panel',
    'error',
    'image_path',
    'maps',
    'panel_pixels',
    'panel_rows',
    'spread',
]
