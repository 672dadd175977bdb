"""What docflow does in a second, beside bare baselines of the same run.

`python -m bench` prints the machine, then one line per claim: ours, the baseline, the ratio, and what
is to be reached. Baseline and docflow take turns, repeat by repeat; the ratio is the median of the
repeats' ratios. A wrong result (a refusal, a number given twice or left out, a broken signature, a
byte that did not come back) ends the run with status 1.

- Through HTTP, on both databases: `posts`, `transitions`, `evidence`, `releases`, `sizes`, `memory`.
- Of bytes, on the local folder and on a real S3 service: `sealing` (the processor's part), `stores`
  (put and get, sealed and plain), `transfers` (peak memory of a very large file over HTTP).

`--only` names some of them; `--quick` takes minutes less and says so by its counts and sizes.
"""
