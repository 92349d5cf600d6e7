"""What a spec is going to do: sizes with exact counts, trials, steps, cost, supported margins.

Reads model headers and local data, never torch.
"""

from kdsearch.plan.making import make_plan
from kdsearch.plan.plan import Counts, Plan
from kdsearch.plan.teachers import teacher_facts

__all__ = ["Counts", "Plan", "make_plan", "teacher_facts"]
