# A distillation whose loss is one of variants.py.
_base_ = '../../configs/studies/camvid/distilled.py'
custom_imports = dict(imports=['mmkd', 'variants'])
