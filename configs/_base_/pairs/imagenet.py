# Two networks of configs/imagenet, chosen by the environment:
# TEACHER=resnet50 STUDENT=mobilenet_v1. The teachers are MMPretrain's published ones.
_base_ = '../../imagenet/{{$STUDENT:resnet18}}_8xb64-100e_in1k.py'
pair = '{{$TEACHER:resnet34}}_{{$STUDENT:resnet18}}'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../../imagenet/'
        '{{$TEACHER:resnet34}}_8xb64-100e_in1k.py',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        + dict(
            resnet34='resnet34_8xb32_in1k_20210831-f257d4e6.pth',
            resnet50='resnet50_8xb32_in1k_20210831-ea4938fc.pth',
        )['{{$TEACHER:resnet34}}'],
    ),
)
# DKD's beta: 2 for MobileNet-V1, its paper's, as is 0.5 for ResNet-18.
dkd_beta = dict(mobilenet_v1=2.0).get('{{$STUDENT:resnet18}}', 0.5)
