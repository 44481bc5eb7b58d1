"""Runs a script in a process forked from a server that has imported everything already.

Arguments: a file for what it prints, changes of the environment as JSON, the script, its arguments.
"""

import json
import multiprocessing
import os
import runpy
import sys

_, log, environment, script, *arguments = sys.argv
descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(descriptor, 1)
os.dup2(descriptor, 2)
# A process of a fork server would start its own children through servers, too.
multiprocessing.set_start_method("fork", force=True)
os.environ.update(json.loads(environment))
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
