"""Frames and networks that several test files share; made once a session, and never changed.

The package is imported inside the fixtures: an import up here would come before jaxtyping's hook.
"""

import json

import pytest
from hypothesis import settings

settings.register_profile("unit", deadline=None)  # a busy machine is no failing test
settings.load_profile("unit")


def _made(domain, num, **more):
    from semihand.frames.synthetic import SyntheticConfig, generate_frames

    return generate_frames(SyntheticConfig(domain=domain, num_frames=num, seed=11, **more), range(num))


@pytest.fixture(scope="session")
def source_frames():
    """Eight labelled frames, each of another pose, subject and background."""
    return _made("source", 8)


@pytest.fixture(scope="session")
def target_frames():
    """Ten frames of the pool as they come, the truth still beside them; ten subjects."""
    return _made("target", 10)


@pytest.fixture(scope="session")
def hands():
    """Labelled frames, each of another pose; twelve subjects."""
    from checked_sets import NUM

    from semihand.frames.synthetic import SyntheticConfig, generate_frames

    config = SyntheticConfig(domain="target", supervision="mano", seed=7, num_frames=NUM, size_px=64, num_subjects=12)
    return generate_frames(config, range(NUM))


@pytest.fixture(scope="session")
def tiny_network():
    """A small network of random weights, its heatmaps so peaked that the joints spread over the crop."""
    import torch

    from semihand.methods.semihand.network import HandNetwork, NetworkConfig

    torch.manual_seed(5)
    network = HandNetwork(NetworkConfig(width=8, depth=1, decoder_channels=16))
    with torch.no_grad():
        network.head.weight[:21].mul_(20.0)
    return network.eval()


@pytest.fixture(scope="session")
def card(tiny_network):
    """The card of the tiny network, on an adult's hand."""
    from sample_hands import SAMPLE_LENGTHS_MM
    from semihand.methods.semihand.weights import ModelCard

    template = [float(length) for length in SAMPLE_LENGTHS_MM.ravel()]
    return ModelCard(network=tiny_network.config, crop_margin=1.2, template_mm=template)


@pytest.fixture(scope="session")
def teacher(tiny_network, card, tmp_path_factory):
    """The tiny network in a model folder."""
    from semihand.methods.semihand.weights import save_model

    return save_model(tiny_network, card, tmp_path_factory.mktemp("models"))


@pytest.fixture
def taken_over(monkeypatch):
    """Makes the next decoding process say something of its own; those after it are sound."""
    from lying_decoder import ONCE, started

    from semihand.frames import worker

    start = worker._start

    def say(said, grown=0, stays=True, program=ONCE):
        def start_another(line_fd, memory_fd, limits):
            monkeypatch.setattr(worker, "_start", start)
            return started(program, line_fd, memory_fd, said, grown, stays)

        worker.dismiss()
        monkeypatch.setattr(worker, "_start", start_another)

    yield say
    worker.dismiss()


@pytest.fixture(autouse=True)
def _parts_travel(request, monkeypatch):
    """Tests of data sets give readers their parts as tasks of a cluster do: as text."""
    if not request.module.__name__.startswith("test_set_"):
        return
    from semihand.frames import listing
    from semihand.frames.sets.named import parts_of
    from semihand.frames.sets.reader import Part

    def sent(reader):
        return [Part(*json.loads(json.dumps(part))) for part in parts_of(reader)]

    monkeypatch.setattr(listing, "parts_of", sent)
