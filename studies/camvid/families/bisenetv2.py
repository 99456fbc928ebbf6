# BiSeNetV2 of a quarter of the width, the auxiliary heads (boosters) of an eighth. The
# one of the first stage, which then has four channels, is left out.
_base_ = ['mmseg::_base_/models/bisenetv2.py', '../recipe.py']
boosters = _base_.model.auxiliary_head[1:]
for head, width, channels in zip(boosters, (8, 16, 32), (8, 32, 128), strict=True):
    head.update(in_channels=width, channels=channels, num_classes=11)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        detail_channels=(16, 16, 32), semantic_channels=(4, 8, 16, 32), bga_channels=32
    ),
    decode_head=dict(in_channels=32, channels=256, num_classes=11),
    auxiliary_head=boosters,
)
