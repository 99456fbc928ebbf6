# The student of the CamVid study, in bf16.
_base_ = '../camvid/student.py'
speed = dict(amp='bfloat16')
