"""Runs spark-submit on a cluster of its own: a master, and workers that seem to be two machines.

on_a_cluster.py ARGUMENT…     of spark-submit, without --master

Speculative attempts never run on the host of the first, so `local-cluster`, which has one, has none.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pyspark

BIN = Path(os.environ.get("SPARK_HOME") or pyspark.__path__[0]) / "bin"
HOSTS = ("127.0.0.2", "127.0.0.3")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def daemon(role, *words):
    command = [BIN / "spark-class", f"org.apache.spark.deploy.{role.lower()}.{role}", "--webui-port", "0"]
    return subprocess.Popen([*command, *words])


port = free_port()
master = f"spark://127.0.0.1:{port}"
daemons = [daemon("Master", "--host", "127.0.0.1", "--port", port)]
daemons += [daemon("Worker", "--host", host, "--cores", "1", "--memory", "1g", master) for host in HOSTS]
try:
    sys.exit(subprocess.call([BIN / "spark-submit", "--master", master, *sys.argv[1:]]))
finally:
    for process in daemons:
        process.terminate()
    for process in daemons:
        process.wait()
