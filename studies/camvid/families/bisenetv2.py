# BiSeNetV2 of a quarter of the width: detail branch, semantic branch, aggregation and the
# main head; the four auxiliary heads (boosters) of an eighth.
_base_ = ['mmseg::_base_/models/bisenetv2.py', '../recipe.py']
auxiliary_head = _base_.model.auxiliary_head
for head, in_channels, channels in zip(
    auxiliary_head, (4, 8, 16, 32), (4, 8, 32, 128), strict=True
):
    head.update(in_channels=in_channels, channels=channels, num_classes=11)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        detail_channels=(16, 16, 32), semantic_channels=(4, 8, 16, 32), bga_channels=32
    ),
    decode_head=dict(in_channels=32, channels=256, num_classes=11),
    auxiliary_head=auxiliary_head,
)
