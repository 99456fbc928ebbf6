from mmkd.errors import needs_openmmlab

with needs_openmmlab():
    from .camvid import CamVidDataset

__all__ = ['CamVidDataset']
