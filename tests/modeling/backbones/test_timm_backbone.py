import pytest
import torch
import torchvision
from torch import nn

from yolov7.config import get_config
from yolov7.d2 import ShapeSpec
from yolov7.layers import FrozenBatchNorm2d, freeze_batch_norms
from yolov7.modeling.backbones import TimmBackbone
from yolov7.modeling.backbones.timm_backbone import keep_norms
from yolov7.modeling.reparameterization import (
    relative_difference,
    reparameterize,
    reparameterized_copy,
)
from yolov7.solver import parameter_groups
from yolov7.utils.errors import ConfigError


def config(*options):
    cfg = get_config()
    cfg.merge_from_list(["MODEL.BACKBONE.NAME", "TimmBackbone", *options])
    return cfg


def random_state(module):
    """Values of every entry that keep the size of what goes through a residual network."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(value.shape, generator=generator, dtype=torch.float64).add(0.5)
        if value.ndim < 2
        else torch.randn(value.shape, generator=generator, dtype=torch.float64).div(
            (value[0].numel()) ** 0.5
        )
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("dilated", [False, True], ids=["R50", "R50-DC5"])
def test_resnet50_is_torchvisions_key_by_key(dilated):
    """DETR's backbone: torchvision's ResNet-50 with frozen batch norms, dilated for DC5."""
    strides = (4, 8, 16) if dilated else (4, 8, 16, 32)
    with torch.device("meta"):
        theirs = torchvision.models.resnet50(
            weights=None,
            replace_stride_with_dilation=[False, False, dilated],
            norm_layer=torchvision.ops.FrozenBatchNorm2d,
        ).eval()
        theirs.fc = nn.Identity()
        ours = TimmBackbone(
            name="resnet50",
            strides=strides,
            output_stride=16 if dilated else 32,
            convert_norms=freeze_batch_norms,
        ).eval()
    state = random_state(theirs)
    theirs.load_state_dict(state, assign=True)
    # strict: the names are torchvision's, all of them and no others
    ours.body.load_state_dict(state, assign=True)
    expected = {}
    for stage in (1, 2, 3, 4):
        theirs.get_submodule(f"layer{stage}").register_forward_hook(
            lambda module, args, output, level=stage + 1: expected.update({f"c{level}": output})
        )
    images = torch.randn(1, 3, 64, 43, dtype=torch.float64)
    with torch.inference_mode():
        theirs(images)
        found = ours(images)
    # Two maps have stride 16 with DC5, of which the deeper one counts.
    assert list(found) == (["c2", "c3", "c5"] if dilated else ["c2", "c3", "c4", "c5"])
    for name, values in found.items():
        largest = expected[name].abs().max()
        assert largest > 1e-3
        assert (values - expected[name]).abs().max() <= 1e-12 * largest, name
    assert found["c5"].shape[-2:] == ((4, 3) if dilated else (2, 2))


def test_sizes_of_detrs_resnet50():
    """spec: 23,454,912 parameters, of which 222,400 are frozen; 106,240 values in the norms."""
    with torch.device("meta"):
        backbone = TimmBackbone(
            name="resnet50", strides=(32,), convert_norms=freeze_batch_norms, freeze_at=2
        )
    parameters = sum(p.numel() for p in backbone.parameters())
    assert parameters == 23_454_912
    trained = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"layer2", "layer3", "layer4"}
    assert sum(p.numel() for p in backbone.parameters() if not p.requires_grad) == 222_400
    assert sum(buffer.numel() for buffer in backbone.buffers()) == 106_240


# Strides and channels as in the models' papers; the smallest of each family at small sizes.
FAMILIES = {
    "resnet18": {"c2": (4, 64), "c3": (8, 128), "c4": (16, 256), "c5": (32, 512)},
    "resnet18d": {"c2": (4, 64), "c3": (8, 128), "c4": (16, 256), "c5": (32, 512)},
    "pvt_v2_b0": {"c2": (4, 32), "c3": (8, 64), "c4": (16, 160), "c5": (32, 256)},
    "efficientnet_b0": {"c2": (4, 24), "c3": (8, 40), "c4": (16, 112), "c5": (32, 320)},
    "mobilenetv3_large_100": {"c2": (4, 24), "c3": (8, 40), "c4": (16, 112), "c5": (32, 960)},
    "regnetx_004": {"c2": (4, 32), "c3": (8, 64), "c4": (16, 160), "c5": (32, 384)},
    "regnety_004": {"c2": (4, 48), "c3": (8, 104), "c4": (16, 208), "c5": (32, 440)},
}
LARGE_FAMILIES = {
    "swin_tiny_patch4_window7_224": {
        "c2": (4, 96), "c3": (8, 192), "c4": (16, 384), "c5": (32, 768),
    },
    "swin_base_patch4_window7_224": {
        "c2": (4, 128), "c3": (8, 256), "c4": (16, 512), "c5": (32, 1024),
    },
    "convnext_tiny": {"c2": (4, 96), "c3": (8, 192), "c4": (16, 384), "c5": (32, 768)},
    "resnet50d": {"c2": (4, 256), "c3": (8, 512), "c4": (16, 1024), "c5": (32, 2048)},
    "resnet101": {"c2": (4, 256), "c3": (8, 512), "c4": (16, 1024), "c5": (32, 2048)},
    "res2net50_26w_4s": {"c2": (4, 256), "c3": (8, 512), "c4": (16, 1024), "c5": (32, 2048)},
    "res2net50d": {"c2": (4, 256), "c3": (8, 512), "c4": (16, 1024), "c5": (32, 2048)},
    "pvt_v2_b2": {"c2": (4, 64), "c3": (8, 128), "c4": (16, 320), "c5": (32, 512)},
    "swin_small_patch4_window7_224": {
        "c2": (4, 96), "c3": (8, 192), "c4": (16, 384), "c5": (32, 768),
    },
    "efficientnet_b2": {"c2": (4, 24), "c3": (8, 48), "c4": (16, 120), "c5": (32, 352)},
}  # fmt: skip


def expected_shapes(table):
    return {name: ShapeSpec(stride=s, channels=c) for name, (s, c) in table.items()}


def check_maps(name, table, size):
    backbone = TimmBackbone(name=name, strides=(4, 8, 16, 32)).eval()
    assert backbone.output_shape() == expected_shapes(table)
    with torch.inference_mode():
        maps = backbone(torch.randn(2, 3, *size))
    for level, (stride, channels) in table.items():
        exact = [side / stride for side in size]
        height, width = maps[level].shape[-2:]
        assert maps[level].shape[:2] == (2, channels)
        assert int(exact[0]) <= height < exact[0] + 1, level
        assert int(exact[1]) <= width < exact[1] + 1, level


@pytest.mark.parametrize("name", FAMILIES)
def test_maps_are_what_output_shape_promises(name):
    check_maps(name, FAMILIES[name], (64, 96))
    check_maps(name, FAMILIES[name], (75, 101))


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE_FAMILIES)
def test_maps_of_larger_models(name):
    check_maps(name, LARGE_FAMILIES[name], (64, 96))
    check_maps(name, LARGE_FAMILIES[name], (75, 101))


def test_maps_of_a_model_whose_first_map_timm_leaves_out():
    # timm numbers DLA's maps from that of stride 1, which it does not return unasked.
    table = {"c2": (4, 64), "c3": (8, 64), "c4": (16, 128), "c5": (32, 256)}
    check_maps("dla46_c", table, (64, 96))


def test_only_the_asked_strides_and_nothing_deeper():
    backbone = TimmBackbone(name="resnet18", strides=(16, 4), in_channels=1)
    assert list(backbone.output_shape()) == ["c2", "c4"]
    assert not any("layer4" in name for name in backbone.state_dict())
    assert list(backbone(torch.zeros(1, 1, 32, 32))) == ["c2", "c4"]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_of_a_shortened_model_is_used(name):
    """Distributed training waits for the gradients of all of them."""
    backbone = TimmBackbone(name=name, strides=(4, 8)).train()
    sum(values.sum() for values in backbone(torch.randn(2, 3, 32, 32)).values()).backward()
    assert not [n for n, parameter in backbone.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize(
    ("name", "side"),
    [
        pytest.param("hrnet_w18_small", 64, marks=pytest.mark.slow),
        ("efficientvim_m1", 64),
    ],
)
def test_what_no_map_depends_on_does_not_train(name, side):
    """HRNets, for one, keep all branches of their last stage, whatever maps are asked for."""
    backbone = TimmBackbone(name=name, strides=(16,)).train()
    sum(values.sum() for values in backbone(torch.randn(2, 3, side, side)).values()).backward()
    trained = {n for n, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert trained == {n for n, p in backbone.named_parameters() if p.grad is not None}
    assert 0 < len(trained) < len(list(backbone.parameters()))


@pytest.mark.parametrize("name", ["resnet18", "pvt_v2_b0", "efficientnet_b0", "regnetx_004"])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_frozen_is_what_leads_to_a_map(name, level):
    """The parameters that autograd finds on the way to map `c<level>`, and no others."""
    free = TimmBackbone(name=name, strides=(4, 8, 16), freeze_at=0).eval()
    expected = set()
    if level >= 2:
        free(torch.randn(1, 3, 32, 32))[f"c{level}"].square().sum().backward()
        expected = {n for n, p in free.named_parameters() if p.grad is not None}
    if level == 1:
        stems = {
            "resnet18": ("body.conv1.", "body.bn1."),
            "pvt_v2_b0": ("body.patch_embed.",),
            "efficientnet_b0": ("body.conv_stem.", "body.bn1.", "body.blocks.0."),
            "regnetx_004": ("body.stem.",),
        }
        expected = {n for n, _ in free.named_parameters() if n.startswith(stems[name])}
    backbone = TimmBackbone(name=name, strides=(4, 8, 16), freeze_at=level)
    frozen = {n for n, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == expected
    assert bool(frozen) == (level > 0)


def test_batch_norms_of_frozen_stages_keep_still_in_training():
    torch.manual_seed(0)
    backbone = TimmBackbone(name="resnet18", strides=(8,), freeze_at=2).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 32, 32))["c3"].sum().backward()
    moved = {name for name, value in backbone.state_dict().items() if not value.equal(before[name])}
    assert moved and all(name.startswith("body.layer2.") for name in moved)
    backbone.eval().train()
    assert not backbone.body.bn1.training
    assert backbone.body.layer2[0].bn1.training


def test_frozen_norms_never_move_although_the_convolutions_learn():
    backbone = TimmBackbone(name="resnet18", strides=(8,), convert_norms=freeze_batch_norms)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()(torch.randn(2, 3, 32, 32))["c3"].sum().backward()
    assert all(value.equal(before[name]) for name, value in backbone.state_dict().items())
    assert all(p.grad is not None and p.ndim == 4 for p in backbone.parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def test_from_config():
    cfg = config(
        "MODEL.TIMM.NAME", "resnet18.tv_in1k", "MODEL.TIMM.NORM", "FrozenBN",
        "MODEL.TIMM.OUTPUT_STRIDE", 16, "MODEL.TIMM.DROP_PATH", 0.2,
        "MODEL.BACKBONE.FREEZE_AT", 1, "MODEL.NECK.IN_STRIDES", [16],
    )  # fmt: skip
    backbone = TimmBackbone(cfg, ShapeSpec(channels=1))
    assert backbone.output_shape() == {"c5": ShapeSpec(channels=512, stride=16)}
    assert backbone.body.conv1.weight.shape[1] == 1
    assert isinstance(backbone.body.bn1, FrozenBatchNorm2d)
    assert backbone.body.layer4[1].drop_path.drop_prob == 0.2
    trained = [name.split(".")[1] for name, p in backbone.named_parameters() if p.requires_grad]
    assert trained[0] == "layer1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.TIMM.NAME", "resnet51"], r"MODEL\.TIMM\.NAME: .* no model 'resnet51'.* 'resnet5"),
        (["MODEL.TIMM.NAME", "resnet50.imagenet"], r"no weights 'imagenet' of resnet50"),
        (["MODEL.TIMM.NORM", "FrozenBM"], r"MODEL\.TIMM\.NORM: .* Did you mean 'FrozenBN'"),
        (["MODEL.NECK.IN_STRIDES", [32, 64]], r"resnet50 has maps of stride 2, 4, .* 32, not 64"),
        (["MODEL.TIMM.NAME", "vit_small_patch16_224"], r"maps of stride 16, not 8"),
        (["MODEL.TIMM.NAME", "pit_ti_224"], r"any size, and pit_ti_224 is not built for them: \S"),
        (
            ["MODEL.TIMM.NAME", "crossvit_tiny_240", "MODEL.NECK.IN_STRIDES", [12]],
            r"crossvit_tiny_240 has a map of 20x20 cells of stride 12 for 192x320 .* be 16x27",
        ),
        (["MODEL.TIMM.OUTPUT_STRIDE", 24], r"'resnet50' .* with MODEL\.TIMM\.OUTPUT_STRIDE"),
        (
            ["MODEL.TIMM.NAME", "vgg11", "MODEL.TIMM.DROP_PATH", 0.1],
            r"'vgg11' .* with MODEL\.TIMM\.DROP",
        ),
        (
            ["MODEL.TIMM.NAME", "pvt_v2_b0", "MODEL.TIMM.NORM", "FrozenBN"],
            r"MODEL\.TIMM\.NORM: pvt_v2_b0 has no batch norm",
        ),
        (["MODEL.BACKBONE.FREEZE_AT", 6], r"FREEZE_AT: resnet50 .* 1, 2, 3, 4, 5, not 6"),
    ],
)
def test_wrong_keys(options, message):
    with pytest.raises(ConfigError, match=message), torch.device("meta"):
        TimmBackbone(config(*options), ShapeSpec(channels=3))


@pytest.mark.parametrize(
    ("name", "exempt"),
    [
        ("resnet18", set()),
        ("swin_tiny_patch4_window7_224", {"relative_position_bias_table"}),
        (
            "swinv2_tiny_window8_256",
            {"cpb_mlp.0.weight", "cpb_mlp.0.bias", "cpb_mlp.2.weight", "logit_scale"}
            | {"q_bias", "v_bias"},
        ),
        ("convnext_tiny", {"gamma"}),
        ("vit_small_patch16_224", {"pos_embed", "cls_token"}),
    ],
)
def test_no_decay_for_position_tables_and_scales_of_branches(name, exempt):
    """What timm's `no_weight_decay` of the classifier says, by the extractor's names."""
    with torch.device("meta"):
        backbone = TimmBackbone(name=name, strides=(16,))
        groups = parameter_groups(backbone, lr=1.0, weight_decay=0.1)
    exempted = [p for group in groups if group["name"] == "no_decay" for p in group["params"]]
    names = {parameter: name for name, parameter in backbone.named_parameters()}
    found = {names[parameter] for parameter in exempted}
    expected = {n for n in names.values() if any(n.endswith(f".{end}") for end in exempt)}
    assert found == expected
    assert bool(found) == bool(exempt)


def with_trained_norms(backbone):
    """Running statistics and scales as after some training."""
    torch.manual_seed(0)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.running_mean, std=0.1)
        nn.init.normal_(norm.bias, std=0.1)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    return len(norms)


def probe(backbone):
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        return backbone(images)


def check_folding(name, convert_norms=keep_norms):
    backbone = TimmBackbone(name=name, convert_norms=convert_norms)
    norms = with_trained_norms(backbone)
    smaller = reparameterize(backbone, probe=probe)
    assert with_trained_norms(smaller) == 0
    difference = relative_difference(probe(smaller.double()), probe(backbone.eval().double()))
    assert difference < 1e-5
    assert (difference > 0) == (norms > 0)
    return norms


@pytest.mark.parametrize("convert_norms", [keep_norms, freeze_batch_norms])
def test_every_norm_of_a_resnet_is_folded(convert_norms):
    assert check_folding("resnet18", convert_norms) == 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "resnet50d", "res2net50_26w_4s", "efficientnet_b0", "mobilenetv3_large_100",
        "tf_efficientnet_lite0", "regnetx_004", "regnety_004", "hgnetv2_b0", "cs3darknet_m",
    ],
)  # fmt: skip
def test_every_norm_of_other_families_is_folded(name):
    assert check_folding(name) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pvt_v2_b0", "swin_tiny_patch4_window7_224", "convnext_tiny"])
def test_models_without_batch_norms_stay_as_they_are(name):
    assert check_folding(name) == 0


def test_folding_on_the_meta_device():
    with torch.device("meta"):
        smaller = reparameterized_copy(TimmBackbone(name="resnet18", freeze_at=2))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in smaller.modules())
    assert smaller.train().eval().body.conv1.bias.is_meta
