"""How many examples a property gets: a third of all by default, and all with `--hypothesis-profile=full`."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "full",
    derandomize=True,  # the same examples in every run, so that a run can be trusted and repeated
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
settings.register_profile("third", settings.get_profile("full"), max_examples=50)
settings.load_profile("third")


def examples(number: int) -> int:
    """How many examples a property gets in this run that gets so many in a full one."""
    return -(-number * settings().max_examples // settings.get_profile("full").max_examples)
