import pytest
import torch
from mmseg.models.decode_heads.san_head import SideAdapterCLIPHead
from torch import nn
from torch.testing import assert_close

from mmkd.distillation.run_to_logits import run_to_logits
from mmkd.distillation.taps import record
from mmkd.functional import mask_logits

IMAGES = torch.randn(2, 3, 8, 12)


class Segmentor(nn.Module):
    """As mmseg's: the head decides how its logits are obtained."""

    def __init__(self, head):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 1)
        self.decode_head = head

    def forward(self, images, mode):
        assert mode == 'tensor'
        return self.head(self.backbone(images))

    @property
    def head(self):
        cascade = isinstance(self.decode_head, nn.ModuleList)
        return self.decode_head[-1] if cascade else self.decode_head

    def encode_decode(self, images, metas):
        sizes = {meta[key] for meta in metas for key in ('img_shape', 'pad_shape')}
        assert sizes == {(8, 12)}
        assert len(metas) == len(images)
        return self.head(self.backbone(images)) + 1


def with_conv_seg():
    head = nn.Sequential()
    head.conv_seg = nn.Conv2d(4, 5, 1)
    return head


@pytest.mark.parametrize(
    ('head', 'taps', 'decodes'),
    [
        (with_conv_seg(), ['decode_head.conv_seg'], False),
        (with_conv_seg(), ['encode_decode'], True),
        (nn.Conv2d(4, 5, 1), ['decode_head'], True),
        (nn.ModuleList([nn.ReLU(), with_conv_seg()]), ['decode_head.1'], False),
        (nn.ModuleList([with_conv_seg(), nn.ReLU()]), ['encode_decode'], True),
    ],
)
def test_how_a_segmentor_runs(head, taps, decodes):
    model = Segmentor(head)
    with record(model, taps) as outputs:
        output = run_to_logits(model, IMAGES, taps)
    expected = model.head(model.backbone(IMAGES))
    assert_close(output, expected + decodes)
    assert_close(outputs[taps[0]], output if 'encode' in taps[0] else expected)
    assert 'encode_decode' not in vars(model)


def test_a_network_without_encode_decode():
    """A classifier, or any network with a head of its own."""

    class Network(nn.Module):
        decode_head = None

        def forward(self, images, mode):
            return images

    assert run_to_logits(Network(), IMAGES) is IMAGES


def test_images_in_the_precision_of_the_weights():
    model = Segmentor(nn.Conv2d(4, 5, 1)).to(torch.float64)
    assert run_to_logits(model, IMAGES).dtype == torch.float64


def test_the_argmax_of_mask_logits_is_the_prediction():
    """Of mmseg's own code for SAN, which is that of Mask2Former, at the masks' size."""
    torch.manual_seed(0)
    scores, masks = 3 * torch.randn(2, 20, 12), 5 * torch.randn(2, 20, 16, 24)
    metas = [dict(img_shape=(16, 24))]
    predicted = SideAdapterCLIPHead.predict_by_feat(None, [masks, scores], metas)
    logits = mask_logits(scores, masks)
    assert torch.equal(logits.argmax(1), predicted.argmax(1))
    assert_close(logits.exp(), predicted)
