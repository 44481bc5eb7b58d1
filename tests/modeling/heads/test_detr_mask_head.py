import math

import torch

from yolov7.modeling.heads import DETRMaskHead
from yolov7.modeling.heads.detr_mask_head import AttentionMaps


def test_weights_of_a_query_add_up_to_1_over_heads_and_cells():
    torch.manual_seed(0)
    attention = AttentionMaps(16, 2)
    padding = torch.zeros(2, 3, 4, dtype=torch.bool)
    padding[1, 2] = True
    maps = attention(torch.randn(2, 5, 16), torch.randn(2, 3, 4, 16), padding)
    assert maps.shape == (2, 5, 2, 3, 4)
    assert torch.allclose(maps.sum(dim=(2, 3, 4)), torch.ones(2, 5))
    assert not maps[1, :, :, 2].any() and (maps[0] > 0).all()


def test_one_head_of_two_channels_by_hand():
    """Likeness 2 / sqrt(2) and 0: softmax weights e^sqrt(2) : 1."""
    attention = AttentionMaps(2, 1)
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(2))
        attention.key.weight.copy_(torch.eye(2))
    memory = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    maps = attention(torch.ones(1, 1, 2), memory, torch.zeros(1, 1, 2, dtype=torch.bool))
    first = math.exp(math.sqrt(2)) / (math.exp(math.sqrt(2)) + 1)
    assert torch.allclose(maps.flatten(), torch.tensor([first, 1 - first]))


def test_size_is_the_published_one():
    """131,584 and 1,202,073 parameters, as the authors' program counts them."""
    head = DETRMaskHead(256, 8, context_channels=(1024, 512, 256))
    counts = [sum(p.numel() for p in part.parameters()) for part in (head.attention, head)]
    assert counts == [131_584, 131_584 + 1_202_073]
