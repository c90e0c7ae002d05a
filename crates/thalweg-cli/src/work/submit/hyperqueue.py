"""Drives HyperQueue by its own client, the Python package `hyperqueue`, for `thalweg submit`.

A request comes as JSON on stdin. What happens is told as JSON, a line each, on stdout: `job` with `server`, then `finished`, `failed`, `total`, in the end
`ended` (task number to error), or `error`.
"""
import json
import os
import sys
import time

#: Least and most seconds between two questions to the server; between them a hundredth of the time since the beginning.
POLL = (0.02, 1.0)


def tell(**what):
    print(json.dumps(what), flush=True)


class Over(Exception):
    """The job that was to be attached to has ended already."""


class Asked(Exception):
    """The server was asked once, and the job is not over."""


def access(folder):
    """The id of the server whose folder this is."""
    with open(os.path.join(folder, "hq-current", "access.json")) as file:
        return json.load(file)["server_uid"]


def main():
    wanted = json.load(sys.stdin)
    try:
        from hyperqueue import Client, Job
        from hyperqueue.ffi.protocol import ResourceRequest
    except ImportError as e:
        return tell(error=f"{sys.executable} has no package hyperqueue ({e})")
    folder = wanted["folder"] or os.path.join(os.path.expanduser("~"), ".hq-server")
    try:
        server = access(folder)
    except OSError as e:
        return tell(error=f"no server of HyperQueue in {folder} ({e.strerror})")
    client = Client(folder)
    connection = client.connection

    def follow(job, attaching):
        seen, last = False, None

        def told(status):
            nonlocal seen, last
            one = status.get(job)
            if one is not None:
                if attaching and not seen and one["completed"]:
                    raise Over
                seen = True
                now = dict(finished=one["finished"], failed=one["failed"], total=one["total"])
                if now != last:
                    last = now
                    tell(**now)
                if not one["completed"]:
                    raise Asked

        begun = time.monotonic()
        while True:
            try:
                connection.wait_for_jobs([job], told)
                break
            except Asked:
                # The package's own waiting asks once a second: longer than short work takes.
                time.sleep(min(max((time.monotonic() - begun) / 100, POLL[0]), POLL[1]))
        if not seen:
            raise Over
        failed = connection.get_failed_tasks([job]).get(job, {})
        tell(ended={str(task): context.error for task, context in failed.items()})

    if wanted["attach"] is not None and wanted["attach"]["server"] == server:
        try:
            tell(job=wanted["attach"]["job"], server=server, attached=True)
            return follow(wanted["attach"]["job"], True)
        except Over:
            pass
    job = Job(name=wanted["name"], default_workdir=wanted["cwd"], max_fails=None)
    resources = ResourceRequest(cpus=wanted["cpus"])
    for task in wanted["tasks"]:
        job.program(task["words"], stdout=None, stderr=task["stderr"], resources=resources)
    submitted = client.submit(job).id
    tell(job=submitted, server=server, attached=False)
    follow(submitted, False)


try:
    main()
except Exception as e:
    tell(error=f"HyperQueue: {e}")
