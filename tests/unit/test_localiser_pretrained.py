"""The localiser that comes with the package, on hands and rooms that it has never seen."""

from pathlib import Path

from semihand.frames.synthetic.layers import draw_layers
from semihand.frames.synthetic.rooms import draw_room
from semihand.methods import localiser
from semihand.methods.localiser.scenes import bank_of
from semihand.methods.localiser.weights import load_localiser
from semihand.steps.localiser import quality_on_scenes, share_with_boxes

PRETRAINED = Path(localiser.__file__).parent / "pretrained"
SEED = 77  # neither training's nor that of its figures


def test_it_finds_most_hands_of_unseen_people_and_hardly_any_where_there_are_none():
    model, card = load_localiser(PRETRAINED)
    layers = list(draw_layers(SEED, range(32), first_subject=30_000))
    bank = bank_of(layers, [draw_room(SEED, number) for number in range(32)])
    quality = quality_on_scenes(model, bank, 64, card.threshold, seed=SEED)
    assert quality.num_hands > 40
    assert quality.found > 0.85
    assert quality.false_boxes < 0.15
    assert share_with_boxes(model, bank, 64, card.threshold, seed=SEED + 1) < 0.1
