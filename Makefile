# What there is to run. Everything is a script; this only gives the scripts names.

.PHONY: check deep-check fuzz-smoke

# What a change has to pass.
check:
	bash .ci/run

# Model checking, Miri, sanitizers, fuzzing: takes most of an hour the first time.
deep-check:
	bash scripts/deep-check

# Every fuzz target for a few seconds.
fuzz-smoke:
	bash scripts/fuzz-smoke
