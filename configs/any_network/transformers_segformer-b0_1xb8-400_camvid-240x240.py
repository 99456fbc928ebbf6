# SegFormer-B0 of Transformers, with the paper's optimizer and learning rate.
_base_ = [
    '../_base_/datasets/camvid_240x240.py',
    '../_base_/schedules/schedule_400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmkd.TorchSegmentor',
    module=dict(
        type='transformers.SegformerForSemanticSegmentation',
        config=dict(type='transformers.SegformerConfig', num_labels=11),
    ),
    output='logits',
    mean=[0.485, 0.456, 0.406],
    std=[0.229, 0.224, 0.225],
    data_preprocessor=dict(size=_base_.crop_size),
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=6e-5, weight_decay=0.01)
)
