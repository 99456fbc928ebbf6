from .panel import Row, draw_panel

__all__ = ['Row', 'draw_panel']
