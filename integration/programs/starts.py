"""Starts `probe` in each way that Python has, named on the command line. Runs on 3.6 and later."""

import asyncio
import multiprocessing
import os
import shutil
import subprocess
import sys


def in_child(function):
    """Runs a function that replaces its process, in a child of ours."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(126)
    report(os.waitpid(pid, 0)[1])


def report(status):
    print("status", status, flush=True)


def asynchronous(start):
    async def run():
        process = await start()
        report(await process.wait())

    asyncio.run(run())


def multiprocessed(method, label):
    context = multiprocessing.get_context(method)
    process = context.Process(target=subprocess.call, args=(["probe", label],))
    process.start()
    process.join()
    report(process.exitcode)


def ways(label, path):
    name, line = ["probe", label], "probe " + label
    environment = {"PATH": os.environ["PATH"]}
    return {
        "run": lambda: report(subprocess.run(name).returncode),
        "run-path": lambda: report(subprocess.run([path, label]).returncode),
        "run-status": lambda: report(subprocess.run(name + ["7"]).returncode),
        "run-shell": lambda: report(subprocess.run(line, shell=True).returncode),
        "run-env": lambda: report(subprocess.run(name, env=environment).returncode),
        "run-cwd": lambda: report(subprocess.run(name, cwd="/").returncode),
        "run-open-fds": lambda: report(subprocess.run([path, label], close_fds=False).returncode),
        "run-session": lambda: report(subprocess.run(name, start_new_session=True).returncode),
        "run-preexec": lambda: report(subprocess.run(name, preexec_fn=lambda: None).returncode),
        "check_output": lambda: print(subprocess.check_output(name), flush=True),
        "system": lambda: report(os.system(line)),
        "popen": lambda: print(os.popen(line).read(), flush=True),
        "execv": lambda: in_child(lambda: os.execv(path, name)),
        "execve": lambda: in_child(lambda: os.execve(path, name, environment)),
        "execve-fd": lambda: in_child(
            lambda: os.execve(os.open(path, os.O_RDONLY), name, environment)
        ),
        "execvp": lambda: in_child(lambda: os.execvp("probe", name)),
        "execlpe": lambda: in_child(lambda: os.execlpe("probe", "probe", label, environment)),
        "spawnvp": lambda: report(os.spawnvp(os.P_WAIT, "probe", name)),
        "posix_spawn": lambda: report(os.waitpid(os.posix_spawn(path, name, environment), 0)[1]),
        "posix_spawnp": lambda: report(
            os.waitpid(os.posix_spawnp("probe", name, os.environ), 0)[1]
        ),
        "asyncio-exec": lambda: asynchronous(lambda: asyncio.create_subprocess_exec(*name)),
        "asyncio-shell": lambda: asynchronous(lambda: asyncio.create_subprocess_shell(line)),
        "multiprocessing-fork": lambda: multiprocessed("fork", label),
        "multiprocessing-spawn": lambda: multiprocessed("spawn", label),
        "missing": lambda: missing(label),
    }


def missing(label):
    """A program that is nowhere on PATH must be so with a redirector too."""
    try:
        subprocess.run(["probe-that-does-not-exist", label])
    except FileNotFoundError as error:
        print(error, flush=True)
    report(subprocess.run(["probe", label]).returncode)


if __name__ == "__main__":
    for label in sys.argv[1:]:
        print(label, flush=True)
        ways(label, shutil.which("probe"))[label]()
