"""Run by the peers' interpreter: `DSN STEP LOG COUNT`. Defers COUNT jobs to a worker process that runs one at a time.

Prints the instant before the first was deferred; ends when the worker has ended them all.
"""

import asyncio
import os
import subprocess
import sys
import time

import procrastinate

DSN, STEP, LOG, COUNT = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
LONGEST_S = 50
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DSN))
ended = asyncio.Event()
left = [COUNT]


def spawn(number):
    os.waitpid(os.posix_spawn(STEP, [STEP, LOG, str(number)], os.environ), 0)


@app.task(name="step")
async def step(number):
    await asyncio.to_thread(spawn, number)
    left[0] -= 1
    if left[0] == 0:
        ended.set()


async def work():
    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(concurrency=1, install_signal_handlers=False))
        await asyncio.sleep(1)  # it listens only then
        print("ready", flush=True)
        await asyncio.wait_for(ended.wait(), LONGEST_S)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def defer():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        words = [sys.executable, *sys.argv, "worker"]
        worker = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - nothing else runs here
        try:
            worker.stdout.readline()
            began = time.monotonic_ns()
            for number in range(COUNT):
                await step.defer_async(number=number)
            worker.wait(LONGEST_S)
            print(began)
        finally:
            worker.kill()
            worker.wait()


asyncio.run(work() if sys.argv[-1] == "worker" else defer())
