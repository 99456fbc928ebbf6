from mmkd.errors import needs_openmmlab

with needs_openmmlab():
    from .camvid import CamVidDataset
    from .omniglot import Omniglot
    from .views import collate_views

__all__ = ['CamVidDataset', 'Omniglot', 'collate_views']
