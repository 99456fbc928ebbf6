# The pretrained teacher, with a lower learning rate and the students' class weights.
_base_ = ['./upernet_efficientnet.py', './recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=11,
        loss_decode=dict(
            class_weight=[
                *(0.3842, 0.301, 3.236, 0.2398, 1.0, 0.5233),
                *(2.7467, 1.6651, 0.8371, 4.0119, 5.1348),
            ]
        ),
    ),
)
optim_wrapper = dict(
    optimizer=dict(lr=0.001),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.2)}),
)
