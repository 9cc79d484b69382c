"""steps/train.py: the same fit, however many workers and however often interrupted."""

from itertools import pairwise

import pytest
import torch

from semihand.methods.semihand.augmentation import AppearanceConfig, WarpConfig
from semihand.methods.semihand.batches import Crops, unlabelled
from semihand.methods.semihand.losses import LossConfig
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.objective import ObjectiveConfig, View
from semihand.steps.batching import SOURCE, TARGET, Moment, draw_batch, perturbed_batch, rows_of_step
from semihand.steps.checkpoint import Checkpoints
from semihand.steps.radii import RadiiConfig, train_radii
from semihand.steps.train import Data, DivergenceError, TrainConfig, TrainState, World, _decay, _rate, train
from semihand.steps.training_set import source_crops
from training_states import assert_same

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    num_steps=4, source_batch=4, target_batch=4, cell=2, warmup_steps=1, precision="fp32", report_every=2
)
NOTHING = AppearanceConfig(colour=0, grey=0, blur=0, noise=0, erase=0, background=0, skin=0)


@pytest.fixture(scope="module")
def source(source_frames, card) -> Crops:
    return source_crops(source_frames, card)


@pytest.fixture(scope="module")
def data(source) -> Data:
    """Labelled source; the same pictures as target, of which rows 1, 4 and 6 are selected."""
    weight = torch.zeros(source.num_rows, 21)
    weight[[1, 4, 6]] = 0.7
    return Data(source, source._replace(pictures=source.pictures.flip(2), joint_weight=weight))


def fresh(config: TrainConfig, tiny_network, seed: int = 1) -> TrainState:
    torch.manual_seed(seed)
    return TrainState.start(HandNetwork(tiny_network.config), config, CPU)


def test_a_fit_resumed_from_its_checkpoint_ends_where_an_undisturbed_one_does(data, tiny_network, tmp_path):
    undisturbed = fresh(CONFIG, tiny_network)
    reports = list(train(undisturbed, data, CONFIG))
    stopped = fresh(CONFIG, tiny_network)
    fit = train(stopped, data, CONFIG)
    assert next(fit) == reports[0]
    kept = Checkpoints(tmp_path)
    kept.save(stopped, [])
    del fit, stopped
    resumed = fresh(CONFIG, tiny_network, seed=99)  # other weights, all of them replaced
    kept.load(resumed, kept.newest())
    assert resumed.step == 2
    assert list(train(resumed, data, CONFIG)) == reports[1:]
    assert_same(resumed, undisturbed)
    assert list(train(resumed, data, CONFIG)) == []  # a finished fit has nothing left to do


def test_the_same_seed_gives_the_same_fit_and_another_seed_another(data, tiny_network):
    once, again, other = (fresh(CONFIG, tiny_network) for _ in range(3))
    reports = [list(train(once, data, CONFIG)), list(train(again, data, CONFIG))]
    list(train(other, data, CONFIG.model_copy(update={"seed": 1})))
    assert reports[0] == reports[1]
    assert_same(once, again)
    assert not torch.equal(once.network.head.weight, other.network.head.weight)


@pytest.mark.parametrize("role", [SOURCE, TARGET])
@pytest.mark.parametrize("step", [0, 3])
def test_two_workers_see_together_what_one_sees_alone(data, tiny_network, role, step):
    state = fresh(CONFIG, tiny_network)
    state.step = step
    crops = data.source if role == SOURCE else data.target
    alone = draw_batch(crops, 4, role, Moment(state.step, World(0, 1), state.device), CONFIG)
    shared = [
        pair
        for rank in (0, 1)
        for pair in draw_batch(crops, 4, role, Moment(state.step, World(rank, 2), state.device), CONFIG)
    ]
    assert len(shared) == len(alone) == 2
    for (ours, our_crops), (theirs, their_crops) in zip(shared, alone, strict=True):
        assert torch.equal(ours.pictures, theirs.pictures)
        assert torch.equal(ours.warp, theirs.warp)
        assert all(torch.equal(a, b) for a, b in zip(our_crops, their_crops, strict=True))
    assert not torch.equal(shared[0][0].warp, shared[1][0].warp)  # cells have random numbers of their own


def test_steps_roles_and_seeds_draw_other_views(data, tiny_network):
    seen = set()
    for seed in (0, 1):
        for step in (0, 1, 2):
            state = fresh(CONFIG, tiny_network)
            state.step = step
            for role in (SOURCE, TARGET):
                config = CONFIG.model_copy(update={"seed": seed})
                for view, _ in draw_batch(data.source, 4, role, Moment(state.step, World(), state.device), config):
                    seen.add(tuple(view.warp.flatten().tolist()))
    assert len(seen) == 2 * 3 * 2 * 2


def test_selected_frames_come_as_often_as_they_should(data):
    chosen = torch.tensor([1, 4, 6])

    def share(value: float) -> float:
        config = CONFIG.model_copy(update={"selected_share": value})
        rows = torch.cat([rows_of_step(data.target, 50, TARGET, step, config) for step in range(20)])
        return float(torch.isin(rows, chosen).float().mean())

    assert share(1.0) == 1.0
    assert share(0.0) == pytest.approx(3 / 8, abs=0.06)
    assert share(0.75) == pytest.approx(0.75 + 0.25 * 3 / 8, abs=0.06)
    nobody = unlabelled(data.source.pictures)
    assert len(set(rows_of_step(nobody, 50, TARGET, 0, CONFIG).tolist())) == 8


def test_the_rate_warms_up_to_one_and_falls_to_its_final_share():
    config = CONFIG.model_copy(update={"num_steps": 100, "warmup_steps": 10, "final_rate": 0.05})
    rates = [_rate(step, config) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == 1.0
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.05 + 0.95 / 2)
    assert rates[100] == pytest.approx(0.05)


def test_the_teacher_is_the_moving_average_of_the_student(source, tiny_network):
    config = CONFIG.model_copy(update={"num_steps": 3, "report_every": 1, "ema_decay": 0.15, "target_batch": 0})
    state = fresh(config, tiny_network)
    name = "head.weight"
    average = state.network.state_dict()[name].clone()
    for report in train(state, Data(source, None), config):
        decay = min(0.15, report.step / (report.step + 10))  # 1/11, then the limit
        average = decay * average + (1 - decay) * state.network.state_dict()[name]
        torch.testing.assert_close(state.teacher.state_dict()[name], average, atol=1e-6, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in state.teacher.parameters())
    assert not state.teacher.training


def test_a_fit_on_a_handful_of_crops_learns_them(source, tiny_network):
    still = WarpConfig(rotation_deg=0.0, scale=1.0, translation_px=0.0)
    objective = ObjectiveConfig(warp=still, source_appearance=NOTHING)
    config = TrainConfig(
        num_steps=40, source_batch=8, target_batch=0, cell=8, warmup_steps=2, precision="fp32", report_every=10,
        learning_rate=1e-2, objective=objective,
    )  # fmt: skip
    reports = list(train(fresh(config, tiny_network), Data(source, None), config))
    assert [report.step for report in reports] == [10, 20, 30, 40]
    assert reports[-1].losses["supervised"] < 0.6 * reports[0].losses["supervised"]
    assert reports[0].losses.keys() == {"supervised", "total"}


@pytest.mark.parametrize("consistency", ["teacher", "student"])
def test_the_total_is_equation_1_with_the_papers_weights(data, tiny_network, consistency):
    objective = ObjectiveConfig(consistency=consistency)
    config = CONFIG.model_copy(update={"num_steps": 1, "report_every": 1, "objective": objective})
    (report,) = train(fresh(config, tiny_network), data, config)
    losses = report.losses
    expected = losses["supervised"] + losses["labels"] + 0.1 * losses["consistency"]
    assert losses["total"] == pytest.approx(expected, rel=1e-5)
    assert losses["labels"] > 0
    assert losses["consistency"] > 0


PRINTED = {"consistency": "student", "consistency_view": "perturbed"}


def with_losses(config: TrainConfig, weights: dict[str, float], **objective: str) -> TrainConfig:
    changed = config.objective.model_copy(update={"losses": LossConfig(**weights), **objective})
    return config.model_copy(update={"objective": changed})


def registered(data: Data) -> Data:
    """The target's labels, a little off, also as corrected ones of every row."""
    poses = {"registered_uv": data.target.uv + 2, "registered_depth": data.target.depth}
    return Data(data.source, data.target._replace(**poses, registered_weight=torch.ones(len(data.target.uv), 21)))


def test_with_every_term_the_total_is_equations_1_and_6(data, source, tiny_network):
    config = CONFIG.model_copy(update={"num_steps": 1, "report_every": 1, "ema_decay": 0.0})
    config = with_losses(config, {"cross_modal_weight": 0.1, "registration_weight": 1.0}, **PRINTED)
    state = fresh(config.model_copy(update={"objective": ObjectiveConfig()}), tiny_network)
    state.radii = train_radii(source, RadiiConfig(num_steps=2))
    (report,) = train(state, registered(data), config)
    losses = report.losses
    assert losses.keys() == {"supervised", "labels", "registration", "consistency", "cross_modal", "total"}
    assert min(losses.values()) > 0
    expected = losses["supervised"] + losses["labels"] + losses["registration"]
    assert losses["total"] == pytest.approx(
        expected + 0.1 * losses["consistency"] + 0.1 * losses["cross_modal"], rel=1e-5
    )
    for name, value in state.network.state_dict().items():  # no average: the teacher is the student
        torch.testing.assert_close(state.teacher.state_dict()[name], value)


def test_consistency_at_every_second_step_counts_twice_and_is_left_out_between(data, tiny_network):
    often = with_losses(CONFIG.model_copy(update={"num_steps": 2, "report_every": 1}), {}, **PRINTED)
    seldom = often.model_copy(update={"objective": often.objective.model_copy(update={"consistency_every": 2})})
    (first, _), (doubled, without) = (list(train(fresh(each, tiny_network), data, each)) for each in (often, seldom))
    assert doubled.losses["consistency"] == pytest.approx(2 * first.losses["consistency"], rel=1e-5)
    assert doubled.losses["labels"] == pytest.approx(first.losses["labels"], rel=1e-5)
    assert "consistency" not in without.losses


def test_cross_modal_consistency_without_radii_is_refused_with_the_way_out(source, tiny_network):
    config = with_losses(CONFIG, {"cross_modal_weight": 0.1})
    with pytest.raises(ValueError, match=r"cross_modal_weight is 0\.1, but no radius network .*train_radii"):
        fresh(config, tiny_network)
    with pytest.raises(ValueError, match=r"cross_modal_weight is 0\.1"):
        next(train(fresh(CONFIG, tiny_network), Data(source, None), config))


def test_two_workers_perturb_together_what_one_perturbs_alone(data):
    def cells(rank: int, size: int) -> list[tuple[View, Crops]]:
        at = Moment(3, World(rank, size), CPU)
        return perturbed_batch(draw_batch(data.target, 4, TARGET, at, CONFIG), TARGET, at, CONFIG)

    alone, shared = cells(0, 1), [*cells(0, 2), *cells(1, 2)]
    assert len(alone) == 2
    for (ours, _), (theirs, _) in zip(shared, alone, strict=True):
        assert torch.equal(ours.pictures, theirs.pictures)
        assert torch.equal(ours.warp, theirs.warp)
    assert not torch.equal(alone[0][0].warp, alone[1][0].warp)


def test_an_hourglass_trains_and_its_first_stack_counts(source):
    config = CONFIG.model_copy(update={"num_steps": 2, "report_every": 1, "target_batch": 0, "cell": 4})
    torch.manual_seed(1)
    network = HandNetwork(NetworkConfig(backbone="hourglass", width=8))
    before = network.hourglass.heads[0].weight.detach().clone()
    state = TrainState.start(network, config, CPU)
    assert all(report.losses["total"] > 0 for report in train(state, Data(source, None), config))
    assert not torch.equal(state.network.hourglass.heads[0].weight, before)


def test_the_cosine_schedule_takes_the_decay_from_its_start_up_to_one():
    config = CONFIG.model_copy(update={"num_steps": 1000, "ema_decay": 0.9, "ema_schedule": "cosine"})
    decays = [_decay(step, config) for step in range(100, 1001)]
    assert all(later >= earlier for earlier, later in pairwise(decays))
    assert _decay(500, config) == pytest.approx(0.95)
    assert _decay(1, config) == pytest.approx(1 / 11)  # the start is soon forgotten
    assert _decay(1000, config) == pytest.approx(1000 / 1010)
    constant = config.model_copy(update={"ema_schedule": "constant"})
    assert {_decay(step, constant) for step in range(100, 1001)} == {0.9}


def test_target_frames_that_nobody_selected_still_teach_consistency(data, tiny_network):
    config = CONFIG.model_copy(update={"num_steps": 1, "report_every": 1})
    unselected = Data(data.source, unlabelled(data.target.pictures))
    (report,) = train(fresh(config, tiny_network), unselected, config)
    assert report.losses["labels"] == 0
    assert report.losses["consistency"] > 0


@pytest.mark.parametrize("bad_step", [1, 2])
def test_a_loss_that_is_not_finite_stops_the_fit_and_names_the_step(source, tiny_network, bad_step):
    config = CONFIG.model_copy(update={"target_batch": 0})
    state = fresh(config, tiny_network)
    *before, batch = (set(rows_of_step(source, 4, SOURCE, step, config).tolist()) for step in range(bad_step))
    rows = torch.tensor(sorted(batch.difference(*before)))
    assert len(rows), "every row of this batch was in one before"
    broken = source._replace(uv=source.uv.index_fill(0, rows, torch.nan))
    fit = train(state, Data(broken, None), config)
    with pytest.raises(DivergenceError, match=rf"step {bad_step}: the loss is nan, .*lower train\.learning_rate"):
        list(fit)


def test_a_batch_that_workers_cannot_share_is_refused_with_the_numbers():
    config = TrainConfig(source_batch=96, target_batch=32, cell=16)
    config.check_workers(2)
    with pytest.raises(ValueError, match=r"train\.target_batch is 32, but 4 workers take 16 .* multiple of 64"):
        config.model_copy(update={"source_batch": 128}).check_workers(4)
    with pytest.raises(ValueError, match=r"train\.source_batch is 96"):
        config.check_workers(4)
