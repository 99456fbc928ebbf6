# MMPretrain's published checkpoint, 73.62 top-1.
teacher = dict(
    config='{{ fileDirname }}/../../imagenet/resnet34_8xb64-100e_in1k.py',
    checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
    'resnet34_8xb32_in1k_20210831-f257d4e6.pth',
)
