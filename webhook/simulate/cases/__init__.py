"""Case files: policies, a cluster, objects, and what is expected of them; the unit tests of policies.

`model` is the format, `reading` finds and reads files, `running` judges their objects by the very same review as the
webhook, `expected` tells how a result differs from what was expected, `coverage` which policies were never seen to let
pass or to fail.
"""
