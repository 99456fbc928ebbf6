# Any two networks of configs/cifar100, chosen by the environment:
# TEACHER=wrn_40_2 STUDENT=wrn_16_2. The teachers are mdistiller's, converted by
# tools/model_converters/mdistiller2mmkd.py.
_base_ = '../../cifar100/{{$STUDENT:resnet8x4}}_1xb64-240e_cifar100.py'
pair = '{{$TEACHER:resnet32x4}}_{{$STUDENT:resnet8x4}}'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../../cifar100/'
        '{{$TEACHER:resnet32x4}}_1xb64-240e_cifar100.py',
        checkpoint='checkpoints/cifar100/{{$TEACHER:resnet32x4}}.pth',
    ),
)
# DKD's beta of the pairs of which its paper says it; 8 of the others.
dkd_beta = {
    'resnet56_resnet20': 2.0,
    'resnet110_resnet32': 2.0,
    'resnet110_resnet20': 2.0,
    'vgg13_vgg8': 6.0,
    'vgg13_mobilenet_v2': 6.0,
    'wrn_40_2_wrn_40_1': 6.0,
    'wrn_40_2_wrn_16_2': 6.0,
}.get(pair, 8.0)
