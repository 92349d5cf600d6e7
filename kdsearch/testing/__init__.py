"""What plugin authors test with: the contracts of domains, losses and ladders, a hub offline.

`class TestMine(DomainContract)` states `domain` and `options`, and likewise for the others; pytest
finds the rest.
"""

from kdsearch.testing.domains import DomainContract, fake_hub
from kdsearch.testing.ladders import LadderContract
from kdsearch.testing.losses import LossContract

__all__ = ["DomainContract", "LadderContract", "LossContract", "fake_hub"]
