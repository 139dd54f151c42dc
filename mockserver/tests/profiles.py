"""How many examples hypothesis draws: all of them with `--hypothesis-profile=full`, else a third."""

from hypothesis import HealthCheck, settings

FULL = settings(
    derandomize=True,  # the same examples in every run, so that a run can be trusted and repeated
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
settings.register_profile("full", FULL)
settings.register_profile("third", FULL, max_examples=50)
settings.load_profile("third")


def examples(number: int) -> int:
    """How many examples a property gets for which this many are enough."""
    return -(-number * settings().max_examples // FULL.max_examples)
