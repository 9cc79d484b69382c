"""methods/semihand/network.py: the soft-argmax read-out, its precision, its shapes."""

import pytest
import torch
from torch.autograd import gradcheck

from semihand.methods.semihand.network import HandNetwork, NetworkConfig, _read_out, grid_of

JOINTS, CELLS = 21, 32
BETA = torch.ones(JOINTS)


def delta_maps(cells: list[tuple[int, int]], height: float = 200.0) -> torch.Tensor:
    """Heatmaps with one cell (row, column) each, a depth map that is 0.1 row - 0.2 column, and a flat mask."""
    maps = torch.zeros(1, 2 * JOINTS + 1, CELLS, CELLS)
    rows, columns = torch.meshgrid(torch.arange(CELLS), torch.arange(CELLS), indexing="ij")
    for joint, (row, column) in enumerate(cells):
        maps[0, joint, row, column] = height
        maps[0, JOINTS + joint] = 0.1 * rows - 0.2 * columns
    return maps


def test_the_soft_argmax_of_a_delta_is_its_cells_centre_and_its_depth_that_cells():
    cells = [(joint % CELLS, (5 * joint + 3) % CELLS) for joint in range(JOINTS)]
    predicted = _read_out(delta_maps(cells), BETA)
    # a cell of a 32 px map covers two pixels of the 64 px crop: cell c has its centre at 2 c + 0.5
    expected = torch.tensor([[2 * column + 0.5, 2 * row + 0.5] for row, column in cells])
    torch.testing.assert_close(predicted.uv[0], expected)
    torch.testing.assert_close(predicted.depth[0], torch.tensor([0.1 * row - 0.2 * column for row, column in cells]))


@pytest.mark.parametrize("side", [32, 64, 128])
def test_thegrid_of_of_every_resolution_spans_the_crop_evenly(side: int):
    grid = grid_of(side, side, torch.device("cpu"))
    torch.testing.assert_close(grid.mean(0), torch.full((2,), 31.5))
    half = 32 / side
    torch.testing.assert_close(grid.min(0).values, torch.full((2,), -0.5 + half))
    torch.testing.assert_close(grid[1] - grid[0], torch.tensor([2 * half, 0.0]))


def test_a_flat_heatmap_says_the_middle_and_the_mean_depth():
    maps = torch.zeros(1, 2 * JOINTS + 1, CELLS, CELLS)
    maps[0, JOINTS : 2 * JOINTS] = torch.randn(JOINTS, CELLS, CELLS, generator=torch.Generator().manual_seed(1))
    predicted = _read_out(maps, BETA)
    torch.testing.assert_close(predicted.uv, torch.full((1, JOINTS, 2), 31.5))
    torch.testing.assert_close(predicted.depth[0], maps[0, JOINTS : 2 * JOINTS].mean((1, 2)))


def test_the_read_out_takes_beta_as_the_inverse_temperature():
    # two cells of logits 0 and 1: the second has the share e^beta / (e^beta + 1), the others none
    maps = torch.full((1, 2 * JOINTS + 1, CELLS, CELLS), -1e4)
    maps[0, :JOINTS, 4, 4], maps[0, :JOINTS, 4, 5] = 0.0, 1.0
    beta = torch.linspace(0.5, 2.5, JOINTS)
    share = beta.exp() / (beta.exp() + 1)
    torch.testing.assert_close(_read_out(maps, beta).uv[0, :, 0], 8.5 + 2 * share)


def test_the_read_out_is_as_precise_under_bf16_autocast_as_without():
    maps = 3 * torch.randn(2, 2 * JOINTS + 1, CELLS, CELLS, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16):
        under = _read_out(maps, BETA)
    plain = _read_out(maps, BETA)
    assert under.uv.dtype == torch.float32
    assert torch.equal(under.uv, plain.uv)
    assert torch.equal(under.depth, plain.depth)


def test_the_read_outs_gradient_is_the_numerical_one():
    # the read-out itself computes in single precision; its formula is checked in double
    generator = torch.Generator().manual_seed(3)
    heat = torch.randn(1, 3, 16, dtype=torch.float64, generator=generator, requires_grad=True)
    beta = torch.rand(3, dtype=torch.float64, generator=generator, requires_grad=True)
    grid = grid_of(4, 4, torch.device("cpu")).double()
    assert gradcheck(lambda heat, beta: torch.softmax(beta.view(1, -1, 1) * heat, -1) @ grid, (heat, beta))
    maps = torch.randn(1, 2 * JOINTS + 1, 4, 4, generator=generator, requires_grad=True)
    _read_out(maps, BETA).uv[0, 0, 0].backward()
    weights = torch.softmax(maps[0, 0].flatten(), 0).detach()
    by_hand = weights * (grid[:, 0].float() - (weights * grid[:, 0].float()).sum())
    torch.testing.assert_close(maps.grad[0, 0].flatten(), by_hand)


@pytest.mark.parametrize("input_px", [64, 128])
def test_the_mask_has_half_the_crops_side_and_every_joint_lies_in_the_crop(input_px: int):
    torch.manual_seed(0)
    network = HandNetwork(NetworkConfig(input_px=input_px, width=8, depth=1, decoder_channels=16)).eval()
    predicted = network(torch.rand(2, 3, input_px, input_px))
    assert predicted.mask_logits.shape == (2, input_px // 2, input_px // 2)
    assert predicted.uv.shape == (2, JOINTS, 2)
    assert ((predicted.uv > -0.5) & (predicted.uv < 63.5)).all()


def test_the_network_looks_at_the_picture_and_every_parameter_learns(tiny_network):
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    predicted = tiny_network(pictures)
    assert not torch.allclose(predicted.uv[0], predicted.uv[1])
    loss = predicted.uv.sum() + predicted.depth.sum() + predicted.mask_logits.sum()
    gradients = torch.autograd.grad(loss, list(tiny_network.parameters()))
    assert all(torch.isfinite(each).all() for each in gradients)
    assert sum(bool(each.abs().sum() > 0) for each in gradients) == len(gradients)


def test_a_backbone_that_is_neither_resnet_nor_a_folder_is_refused_by_name():
    with pytest.raises(ValueError, match=r"network\.backbone is 'nowhere'.*[Nn]ame a folder"):
        HandNetwork(NetworkConfig(backbone="nowhere"))


def test_a_backbone_from_a_local_folder_comes_with_the_weights_it_was_saved_with(tmp_path):
    from transformers import AutoBackbone, ResNetConfig

    saved = AutoBackbone.from_config(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    )
    saved.save_pretrained(tmp_path)
    network = HandNetwork(NetworkConfig(backbone=str(tmp_path), decoder_channels=16)).eval()
    assert network.encoder.channels == [8, 16]
    loaded = network.encoder.backbone.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in saved.state_dict().items())
    assert torch.isfinite(network(torch.rand(1, 3, 64, 64)).uv).all()


@pytest.mark.parametrize("input_px", [64, 128, 256])
def test_an_hourglass_has_heatmaps_of_64_px_and_masks_like_the_others(input_px: int):
    torch.manual_seed(0)
    network = HandNetwork(NetworkConfig(input_px=input_px, backbone="hourglass", width=8)).eval()
    predicted = network(torch.rand(1, 3, input_px, input_px))
    assert predicted.log_heat.shape == (1, JOINTS, 64 * 64)
    assert predicted.mask_logits.shape == (1, input_px // 2, input_px // 2)
    assert ((predicted.uv > -0.5) & (predicted.uv < 63.5)).all()
    assert predicted.earlier is None


def test_an_hourglass_in_training_says_what_its_first_stack_says_and_both_learn():
    torch.manual_seed(0)
    network = HandNetwork(NetworkConfig(backbone="hourglass", width=8)).train()
    predicted = network(torch.rand(2, 3, 64, 64))
    last, first = predicted.stacks()
    assert first.earlier is None
    assert not torch.equal(first.uv, last.uv)
    some = predicted.rows(slice(1))
    assert [len(stack.uv) for stack in some.stacks()] == [1, 1]
    assert torch.equal(some.earlier.depth, first.depth[:1])
    of_first = torch.autograd.grad(first.uv.square().sum(), network.hourglass.heads[0].weight, retain_graph=True)
    assert of_first[0].abs().sum() > 0
    total = sum(each.uv.square().sum() + each.depth.sum() + each.mask_logits.sum() for each in (first, last))
    gradients = torch.autograd.grad(total, list(network.parameters()))
    assert all(torch.isfinite(each).all() for each in gradients)
    assert all(each.abs().sum() > 0 for each in gradients)


@pytest.mark.parametrize(("width", "millions"), [(24, 3.7), (32, 6.6)])
def test_an_hourglass_has_the_papers_size_at_its_width(width: int, millions: float):
    network = HandNetwork(NetworkConfig(backbone="hourglass", width=width))
    assert sum(each.numel() for each in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
