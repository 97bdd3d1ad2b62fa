"""The engine's process: Daft gives the tasks of a file to workers, on this machine or on a Ray cluster.

It is a process of its own, so that a worker that dies ends it and not the run; maskhand_ros.labelling.run
starts it again with what is missing. It reports no usage to anybody.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from maskhand_ros.labelling.run_folder import Task

QUIET = {
    # usage statistics of Daft (at its import, too) and Ray
    'DO_NOT_TRACK': '1',
    'DAFT_ANALYTICS_ENABLED': '0',
    'SCARF_NO_ANALYTICS': '1',
    'RAY_USAGE_STATS_ENABLED': '0',
    'DAFT_PROGRESS_BAR': '0',
    # a worker is one thread
    'OMP_NUM_THREADS': '1',
    'OPENBLAS_NUM_THREADS': '1',
}
"""Environment of the engine and its workers."""

_WATCH_PERIOD = 0.5
"""Seconds between looks at the parent process."""


def main() -> None:
    """Does the tasks of a file, one JSON text a line. Exit status 1 where the engine failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument('tasks', type=Path)
    parser.add_argument('--workers', type=int, required=True)
    parser.add_argument('--ray', metavar='ADDRESS')
    args = parser.parse_args()
    os.environ.update(QUIET)
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    status = 0
    try:
        run_tasks(args.tasks.read_text().splitlines(), args.workers, args.ray)
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads of a failed query would keep the process, or abort it


def run_tasks(tasks: list[str], workers: int, ray: str | None) -> None:
    """Does `tasks` (Task.to_json) with so many workers, each a process; `ray`: address of a cluster, None for
    this machine."""
    import daft

    if ray is None:
        daft.set_runner_native()
    else:
        import ray as ray_library

        ray_library.init(ray, runtime_env={'env_vars': QUIET}, log_to_driver=False)
        daft.set_runner_ray(ray, noop_if_initialized=True)
    daft.set_execution_config(maintain_order=False)
    worker = worker_class(workers)()
    frame = daft.from_pydict({'task': tasks})
    if ray is not None:
        frame = frame.into_partitions(min(len(tasks), workers * 4))
    for _ in frame.select(worker.label(frame['task'])).iter_rows(results_buffer_size=1):
        pass


def worker_class(workers: int) -> Any:
    """A Daft class whose method `label` does a task; Daft starts so many instances, each in a process."""
    import daft

    class DaftWorker:
        def __init__(self) -> None:
            from maskhand_ros.labelling.worker import Worker

            self._worker = Worker()

        @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=1)
        def label(self, tasks: daft.Series) -> list[str]:
            texts = tasks.to_pylist()
            for text in texts:
                self._worker(Task.from_json(text))
            return texts

    return daft.cls(DaftWorker, max_concurrency=workers, use_process=True)


def _end_with(parent: int) -> None:
    """Ends this process when the run that started it is gone; the workers then end by themselves."""
    while os.getppid() == parent:
        time.sleep(_WATCH_PERIOD)
    os._exit(1)


if __name__ == '__main__':
    main()
