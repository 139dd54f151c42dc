"""The parts of a config, from values whose shape is right to frozen ones.

What no schema can say is found here: a pattern that RE2 doesn't read, a highest score below the lowest. A
parser notes it and goes on, so that all of it is found at once.
"""


# Criteria.


# Conditions.


# Scripted answers.


# Faults.


# Streams and limits.
