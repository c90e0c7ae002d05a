"""A worker of HyperQueue with one core, in a process of its own, for the server in a folder: `worker.py OWN SERVER`.

The Python package starts workers only beside a server of their own, in its folder; what a worker reads there is where its server is. So the folder's entry is
made to lead to the server that is meant, and the worker connects to that one, over the loopback.
"""
import os
import sys

from hyperqueue.ffi.cluster import Cluster

own, server = sys.argv[1:]
cluster = Cluster(own)
entry = os.path.join(own, "hq-current")
os.unlink(entry)
os.symlink(os.path.realpath(os.path.join(server, "hq-current")), entry)
cluster.add_worker(1)
print("at work", flush=True)
sys.stdin.read()
