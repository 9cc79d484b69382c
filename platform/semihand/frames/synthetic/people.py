"""The people of a domain: the shape of a hand and its skin, the same for a subject in every picture."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from semihand.frames.synthetic.domains import DOMAINS, DomainName, read_domain
from semihand.frames.synthetic.skin import TONES

_DOMAIN_KEYS: dict[DomainName, int] = {name: place for place, name in enumerate(DOMAINS, start=1)}


@dataclass(frozen=True)
class Person:
    """One subject.

    Attributes:
        shape: ten shape coefficients.
        tone: skin, linear RGB.
        nail: nails, linear RGB.
        relief: how plainly creases and blotches show.
        sleeve: colour of the sleeve, linear RGB.
    """

    shape: Float[np.ndarray, " 10"]
    tone: Float[np.ndarray, "3"]
    nail: Float[np.ndarray, "3"]
    relief: float
    sleeve: Float[np.ndarray, "3"]


@lru_cache(maxsize=512)
def person(name: DomainName, number: int) -> Person:
    """Subject `number` of a domain; independent of any data set's seed, so that a subject may return in another."""
    domain = read_domain(name)
    rng = np.random.default_rng([_DOMAIN_KEYS[name], 7001, number])
    shape = np.array(domain.shape_mean) + np.array(domain.shape_std) * np.clip(rng.standard_normal(10), -2.0, 2.0)
    place = rng.uniform(-0.45, 0.45) + domain.skin_tones[rng.integers(len(domain.skin_tones))]
    tone = np.array([np.interp(place, range(10), TONES[:, channel]) for channel in range(3)])
    tone = np.clip(tone * np.array([0.95, 0.80, 0.72]) * (1 + rng.normal(0, 0.04, 3)), 0.01, 0.9)
    varnished = rng.random() < 0.12
    varnish, natural = rng.uniform(0.02, 0.7, 3), tone * np.array([1.05, 0.93, 0.95]) + np.array([0.06, 0.045, 0.045])
    return Person(
        shape, tone, varnish if varnished else natural, rng.uniform(0.5, 1.1), rng.uniform(0.02, 0.75, 3) ** 1.3
    )
