"""Datasets and collate functions, registered by name."""

from mmkd.errors import needs_openmmlab

with needs_openmmlab():
    from .camvid import CamVidDataset
    from .collate_views import collate_views
    from .omniglot import Omniglot

__all__ = ['CamVidDataset', 'Omniglot', 'collate_views']
