"""methods/semihand/labeller.py: test-time views, their consensus and their disagreement."""

import numpy as np
import pytest
import torch

from semihand.methods.semihand.labeller import (
    ViewConfig,
    _agreement,
    _median,
    as_crops,
    look,
    merge_views,
    mode_of_views,
    view_warps,
)
from semihand.methods.semihand.network import HandNetwork, Prediction
from semihand.tables import frame_id

IDS = [frame_id("test", f"{index}.png") for index in range(5)]
CONFIG = ViewConfig(num_views=6)


class OnTheSquare(HandNetwork):
    """A network that moves with its crop: all joints sit on the white square, the mask is what is bright."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def forward(self, crops: torch.Tensor) -> Prediction:
        bright = crops.mean(1)
        mass = bright.sum((1, 2), keepdim=True)
        place = torch.arange(64, dtype=torch.float32)
        u, v = ((bright / mass).sum(1) * place).sum(1), ((bright / mass).sum(2) * place).sum(1)
        uv = torch.stack([u, v], -1).unsqueeze(1).expand(-1, 21, 2)
        half = torch.nn.functional.avg_pool2d(bright.unsqueeze(1), 2)[:, 0]
        return Prediction(uv, torch.linspace(-1, 1, 21).expand(len(crops), 21), 40 * half - 20)


class Stubborn(OnTheSquare):
    """A network that says the same of every crop, so that no view agrees with another."""

    def forward(self, crops: torch.Tensor) -> Prediction:
        uv = torch.stack([torch.linspace(10, 50, 21), torch.linspace(50, 20, 21)], -1).expand(len(crops), 21, 2)
        logits = torch.full((len(crops), 32, 32), -9.0)
        logits[:, 2:12, 20:30] = 9.0
        return Prediction(uv, torch.zeros(len(crops), 21), logits)


class Distracted(OnTheSquare):
    """A network that grain leads astray: how far neighbouring pixels of a few places differ shifts the joints."""

    def forward(self, crops: torch.Tensor) -> Prediction:
        seen = super().forward(crops)
        grain = crops[:, :, 4:7, 4:7] - crops[:, :, 5:8, 5:8]
        astray = grain.mean(1).flatten(1)[:, :2]
        return seen._replace(uv=seen.uv + 60 * astray.unsqueeze(1))


def squares() -> torch.Tensor:
    """A white square each, at other places, on black."""
    crops = torch.zeros(5, 3, 64, 64, dtype=torch.uint8)
    for row in range(5):
        crops[row, :, 24 + row : 36 + row, 30 - 2 * row : 42 - 2 * row] = 255
    return crops


def test_the_views_of_a_frame_depend_on_its_id_alone():
    together = view_warps(IDS, CONFIG)
    for row, each in enumerate(IDS):
        assert torch.equal(view_warps([each], CONFIG)[:, 0], together[:, row])
    assert torch.equal(view_warps(IDS[::-1], CONFIG), together.flip(1))
    assert len({tuple(warp.flatten().tolist()) for warp in together[1:].flatten(0, 1)}) == 25


def test_the_first_view_is_the_crop_itself():
    assert torch.equal(view_warps(IDS, CONFIG)[0], torch.eye(3)[:2].expand(5, 2, 3))


def test_a_network_that_moves_with_the_crop_is_stable_and_said_back_in_the_crop():
    views = look(OnTheSquare(), squares(), view_warps(IDS, CONFIG), CONFIG)
    expected = torch.tensor([[35.5 - 2 * row, 29.5 + row] for row in range(5)])
    torch.testing.assert_close(views.uv, expected.unsqueeze(1).expand(-1, 21, 2), atol=0.1, rtol=0)
    torch.testing.assert_close(views.views_uv, views.uv.expand(6, -1, -1, -1), atol=0.2, rtol=0)
    assert (views.stability < 0.02).all()
    assert (views.mask_agreement > 0.8).all()


def test_a_network_that_does_not_look_is_unstable():
    views = look(Stubborn(), squares(), view_warps(IDS, CONFIG), CONFIG)
    assert (views.stability > 5).all()
    assert (views.mask_agreement < 0.7).all()
    assert len(set(views.stability.tolist())) == 5  # each frame has its own views


def test_stability_and_consensus_do_not_depend_on_the_order_of_the_views(tiny_network):
    warps = view_warps(IDS, CONFIG)
    crops = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    once = look(tiny_network, crops, warps, CONFIG)
    turned = look(tiny_network, crops, warps.flip(0), CONFIG)
    torch.testing.assert_close(once.uv, turned.uv, atol=1e-4, rtol=0)
    torch.testing.assert_close(once.stability, turned.stability, rtol=1e-4, atol=1e-5)


def test_where_grain_leads_a_network_astray_the_smoothed_views_count_for_more():
    grain = 30 * torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    grain[..., 12:-12, 12:-12] = 0.0
    crops = (squares() + grain.clamp(min=0)).clamp(0, 255).byte()
    clean = look(OnTheSquare(), crops, view_warps(IDS, CONFIG), CONFIG)

    def astray_px(*smoothing_px: float) -> float:
        config = CONFIG.model_copy(update={"smoothing_px": smoothing_px})
        views = look(Distracted(), crops, view_warps(IDS, config), config)
        return float((views.uv - clean.uv).norm(dim=-1).mean())

    as_it_is, smoothed, both = astray_px(0.0), astray_px(2.0), astray_px(0.0, 2.0)
    assert smoothed < 0.3 * as_it_is
    assert both < 0.5 * (as_it_is + smoothed) / 2


def test_smoothing_twice_alike_is_smoothing_once_with_every_view_counted(tiny_network):
    crops, warps = squares(), view_warps(IDS, CONFIG)
    once = look(tiny_network, crops, warps, CONFIG)
    twice = look(tiny_network, crops, warps, CONFIG.model_copy(update={"smoothing_px": (0.0, 0.0)}))
    assert len(twice.views_uv) == 2 * len(once.views_uv)
    for name in ("uv", "depth", "mask", "stability", "mask_agreement"):
        torch.testing.assert_close(getattr(twice, name), getattr(once, name))


def test_looks_are_merged_by_their_weights_frame_by_frame(tiny_network):
    crops, warps = squares(), view_warps(IDS, CONFIG)
    one, other = look(tiny_network, crops, warps, CONFIG), look(OnTheSquare(), crops, warps, CONFIG)
    share = torch.linspace(0, 1, 5)
    merged = merge_views([one, other], 3 * torch.stack([share, 1 - share]), 50.0)
    expected = share[:, None] * one.depth + (1 - share[:, None]) * other.depth
    torch.testing.assert_close(merged.depth, expected)
    torch.testing.assert_close(merged.uv[0], other.uv[0])
    torch.testing.assert_close(merged.uv[-1], one.uv[-1])


def test_the_consensus_is_the_median_and_one_wild_view_does_not_pull_it():
    values = torch.tensor([[1.0], [2.0], [4.0], [900.0]])
    assert float(_median(values)) == float(np.median(values)) == 3.0
    odd = torch.randn(5, 3, 21, generator=torch.Generator().manual_seed(2))
    np.testing.assert_allclose(_median(odd), np.median(odd, axis=0))


def two_minds(num_first: int, num_second: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Views of three frames about a pose and about its mirror image; and the first pose."""
    generator = torch.Generator().manual_seed(4)
    pose = torch.randn(3, 21, 3, generator=generator) * torch.tensor([12.0, 12.0, 0.5])
    views = torch.cat([pose.expand(num_first, -1, -1, -1), -pose.expand(num_second, -1, -1, -1)])
    views = views + torch.randn(views.shape, generator=generator) * torch.tensor([0.5, 0.5, 0.05])
    return views[..., :2], views[..., 2], pose


def test_views_of_two_minds_agree_on_what_most_see_and_not_halfway():
    uv, depth, pose = two_minds(4, 3)
    alike = torch.ones(7, 3)
    mode_uv, mode_depth = mode_of_views(uv, depth, alike, 3.0, 50.0)
    torch.testing.assert_close(mode_uv, uv[:4].mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(mode_depth, depth[:4].mean(0), atol=0.02, rtol=0)
    halfway_px = (_median(torch.cat([uv[:4], uv[4:], uv[4:5]])) - pose[..., :2]).norm(dim=-1).mean()
    assert (mode_uv - pose[..., :2]).norm(dim=-1).mean() < 0.1 * halfway_px


def test_the_mode_goes_by_the_weights_of_the_views():
    uv, depth, pose = two_minds(4, 3)
    weights = torch.ones(7, 3)
    weights[4:, 1] = 3.0
    mode = mode_of_views(uv, depth, weights, 3.0, 50.0)[0]
    sign = torch.tensor([1.0, -1.0, 1.0])
    torch.testing.assert_close(mode, sign[:, None, None] * pose[..., :2], atol=1.5, rtol=0)


def test_a_wide_kernel_finds_the_weighted_mean():
    uv, depth, _ = two_minds(4, 3)
    weights = torch.rand(7, 3, generator=torch.Generator().manual_seed(5)) + 0.1
    share = weights / weights.sum(0)
    mode_uv, mode_depth = mode_of_views(uv, depth, weights, 1e4, 50.0)
    torch.testing.assert_close(mode_uv, (share[..., None, None] * uv).sum(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(mode_depth, (share[..., None] * depth).sum(0), atol=1e-4, rtol=0)


def test_the_mode_is_the_consensus_where_it_is_asked_for(tiny_network):
    crops, warps = squares(), view_warps(IDS, CONFIG)
    median = look(tiny_network, crops, warps, CONFIG)
    mode = look(tiny_network, crops, warps, CONFIG.model_copy(update={"mode_px": 3.0}))
    expected = mode_of_views(median.views_uv, median.views_depth, torch.ones(6, 5), 3.0, CONFIG.depth_weight)
    torch.testing.assert_close((mode.uv, mode.depth), expected)
    about = (median.views_uv - mode.uv).square().sum(-1) + 50 * (median.views_depth - mode.depth).square()
    torch.testing.assert_close(mode.stability, about.mean((0, 2)))


def test_agreement_is_one_for_equal_masks_and_falls_with_the_overlap():
    mask = torch.zeros(2, 1, 4, 4)
    mask[:, 0, :2] = 1.0
    assert float(_agreement(mask)) == 1.0
    apart = mask.clone()
    apart[1] = 1 - apart[1]
    # two masks without overlap: their mean is one half everywhere, min 8 × 0.5, max 8 × 1 + 8 × 0.5
    assert float(_agreement(apart)) == pytest.approx(4 / 12)


def test_pictures_become_byte_tensors_channel_first():
    pictures = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    tensor = as_crops(pictures)
    assert tensor.shape == (2, 3, 4, 4)
    assert int(tensor[1, 2, 3, 0]) == pictures[1, 3, 0, 2]
