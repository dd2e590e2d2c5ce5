"""Machinery of the right-sizing guardrail: pure arithmetic on whole millicores and whole bytes.

In reading order: `rule` (the compiled section), `advice` (what a VPA says about each container), `cells` (what each
container has), `vpa_capping` (what VPA itself would write), `limit_range` (bounds of the namespace), `decide` (one
request, one limit), `pod_sums` (bounds on the whole pod), `originals` (the annotation), `plan` (all of it in order).
"""
