"""What docflow does in a second, through HTTP, beside bare baselines of the same run.

`python -m bench` prints the machine, then one line per claim: ours, the baseline, the ratio, and what
is to be reached. Baseline and service take turns, repeat by repeat; the ratio is the median of the
repeats' ratios. A wrong result (a refusal, a number given twice or left out, a broken signature)
ends the run with status 1.
"""
