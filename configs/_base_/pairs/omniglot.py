_base_ = '../../omniglot/resnet8half_20e_omniglot.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../../omniglot/resnet20_40e_omniglot.py',
        checkpoint='work_dirs/resnet20_40e_omniglot/epoch_40.pth',
    ),
)
