"""A server of HyperQueue in the folder that is named, until stdin is closed."""
import sys

from hyperqueue.ffi.cluster import Cluster

cluster = Cluster(sys.argv[1])
sys.stdin.read()
cluster.stop()
