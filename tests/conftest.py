"""What holds for all tests; nothing is imported here, for jaxtyping's hook comes later."""

import os

# Networks of tests are too small for two threads, which would wait for one another on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
