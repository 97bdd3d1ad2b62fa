"""A hand_node in a process of its own, as on a robot: its states, and what it takes from the machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters

from maskhand_ros.nodes.bench_graph import cpu_seconds

TRANSITIONS = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}


class NodeProcess:
    """Starts unconfigured. `graph` is the Graph whose node asks it; `log`: a file for what it writes;
    `environment`: variables of its own."""

    def __init__(self, graph, namespace, log=None, environment=None, **parameters):
        self._graph, self.name = graph, f'{namespace}/hand_node'
        command = [sys.executable, '-m', 'maskhand_ros.nodes.hand_node', '--ros-args', '--log-level', 'warn']
        command += ['-r', f'__ns:={namespace}', '-r', f'/diagnostics:={namespace}/diagnostics']
        for name, value in parameters.items():
            command += ['-p', f'{name}:={value}']
        self._change_state = graph.node.create_client(ChangeState, f'{self.name}/change_state')
        self._set_parameters = graph.node.create_client(SetParameters, f'{self.name}/set_parameters')
        # A session of its own: Ctrl-C reaches the test only, which ends it in order.
        self._process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}, start_new_session=True
        )
        services = self._change_state, self._set_parameters
        try:
            graph.wait(lambda: all(service.service_is_ready() for service in services), 60)
        except BaseException:
            self.end()
            raise

    def change(self, *transitions):
        """Goes through TRANSITIONS by name; AssertionError where one fails."""
        for name in transitions:
            request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
            assert self._graph.ask(self._change_state, request, 60).success, f'{name} failed'

    def set(self, messages, wait=True):
        """Sends rcl_interfaces/Parameter messages in one request; the results if it is waited for."""
        answer = self._set_parameters.call_async(SetParameters.Request(parameters=messages))
        if not wait:
            self._set_parameters.remove_pending_request(answer)  # some are never answered
            return None
        self._graph.wait(answer.done)
        return answer.result().results

    @property
    def exit_code(self):
        """None while it runs."""
        return self._process.poll()

    def memory(self):
        """{'Rss', 'Pss', 'Anonymous', ...: MB} of the process, shared pages included in the first two."""
        rows = Path(f'/proc/{self._process.pid}/smaps_rollup').read_text().splitlines()[1:]
        return {name: int(size.split()[0]) / 1024 for name, size in (row.split(':') for row in rows)}

    def files(self):
        """How many files it has open."""
        return len(list(Path(f'/proc/{self._process.pid}/fd').iterdir()))

    def threads(self):
        """How many threads it runs."""
        return len(list(Path(f'/proc/{self._process.pid}/task').iterdir()))

    def cpu_seconds(self):
        """CPU time that it took so far, of all its threads."""
        return cpu_seconds(self._process.pid)

    def send(self, number):
        """Sends it a signal."""
        self._process.send_signal(number)

    def end(self, number=signal.SIGINT, patience=20):
        """(exit code, seconds it took to end) after the signal; it is killed where `patience` s do not do."""
        begin = time.monotonic()
        self.send(number)
        try:
            self._process.wait(timeout=patience)
        finally:
            self._process.kill()
            self._graph.node.destroy_client(self._change_state)
            self._graph.node.destroy_client(self._set_parameters)
        return self._process.returncode, time.monotonic() - begin
