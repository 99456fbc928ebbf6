from .distiller import Distiller
from .teacher import Teacher

__all__ = ['Distiller', 'Teacher']
