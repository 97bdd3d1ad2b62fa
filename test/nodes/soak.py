"""`make soak`: a hand_node and a 30 Hz camera through random faults, with what it costs and whether it
recovers.

The exit code is 1 where a promise is broken (soak_report.broken). The same seed does the same faults.
"""

import argparse
import itertools
import random
import sys
import tempfile
import time

import environment

environment.prepare()

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from graph import Graph  # noqa: E402
from node_process import NodeProcess  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402
from soak_faults import FAULTS  # noqa: E402
from soak_report import Record, Sample, broken, line, table  # noqa: E402
from stream import Stream  # noqa: E402

from maskhand_ros.msg import Hand, HandArray  # noqa: E402
from maskhand_ros.nodes.messages import stamp_to_ns  # noqa: E402

NAME = '/soak'
BOTH = {Hand.LEFT, Hand.RIGHT}
ALLOCATOR = {'MALLOC_MMAP_THRESHOLD_': '131072', 'MALLOC_TRIM_THRESHOLD_': '131072'}
"""glibc gives freed memory back at once, so that what is left is what the node holds. By default it keeps
some for reuse, and what it keeps wanders by 20 MB, in which a leak would hide for an hour. It costs a tenth
of the CPU."""
PATIENCE = 20.0
"""Seconds without both hands after which a node has not recovered; a loaded machine needs a few."""


class Soak:
    """A camera, a hand_node and what is heard of it."""

    def __init__(self, graph, seed):
        self.rng, self.record = random.Random(seed), Record()
        self._graph, self._begin = graph, time.monotonic()
        self._log = tempfile.TemporaryFile()
        self._good_since, self._answered = None, 0.0
        graph.hear_each(HandArray, f'{NAME}/hand_node/hands', self._hands)
        graph.hear_each(DiagnosticArray, f'{NAME}/diagnostics', self._diagnostics)
        self._start()
        self.camera = Stream(NAME)
        self._expect_hands()

    def run(self, minutes):
        """Faults in random order, each kind as often as the others; prints once a minute."""
        printed = 0.0
        order = (fault for _ in itertools.count() for fault in self.rng.sample(FAULTS, len(FAULTS)))
        while self._minute() < minutes:
            self._suffer(next(order))
            if self._minute() >= printed + 1 and self.record.samples:
                print(line(self.record, printed), flush=True)
                printed = self._minute()

    def close(self):
        """Ends both."""
        self.camera.close()
        self.record.exit_code, _ = self.node.end()

    def _suffer(self, fault):
        """One fault, recovery from it, and a good phase that ends with hands."""
        self._good_since = None
        try:
            fault(self)
            seconds = self._expect_hands()
            time.sleep(self.rng.uniform(1, 3))
            self._expect_hands()
        except AssertionError as error:
            print(f'{fault.__name__}: {error}', flush=True)
            seconds = float('inf')
            self._restart()
        else:
            self._sample()
        self.record.recoveries.setdefault(fault.__name__, []).append(seconds)

    def _expect_hands(self):
        """Seconds until an answer has both hands of a picture sent from now on; AssertionError without."""
        since = time.monotonic()
        self._good_since = self._good_since or since
        self._graph.wait(lambda: self._answered > since or self.node.exit_code is not None, PATIENCE)
        assert self.node.exit_code is None, f'hand_node ended with exit code {self.node.exit_code}'
        return time.monotonic() - since

    def _start(self):
        self.node = NodeProcess(self._graph, NAME, self._log, ALLOCATOR)
        self.node.change('configure', 'activate')

    def _restart(self):
        """Another node, as a supervisor does."""
        self.record.restarts += 1
        self.record.crashes += self.node.exit_code is not None
        self._log.seek(-min(self._log.tell(), 3000), 2)
        print(self._log.read().decode(errors='replace'), flush=True)
        self.node.end()
        self._start()

    def _minute(self):
        return (time.monotonic() - self._begin) / 60

    def _sample(self):
        memory = self.node.memory()
        sample = Sample(
            self._minute(), memory['Rss'], memory['Anonymous'], self.node.files(), self.node.threads()
        )
        self.record.samples.append(sample)

    def _hands(self, msg):
        sent = self.camera.sent.get(stamp_to_ns(msg.header.stamp))
        if self._good_since is None or sent is None or sent < self._good_since:
            return
        self.record.latencies.append((self._minute(), time.monotonic() - sent))
        if {hand.side for hand in msg.hands} == BOTH:
            self._answered = sent

    def _diagnostics(self, msg):
        for value in itertools.chain.from_iterable(status.values for status in msg.status):
            if value.key.endswith(': count'):
                self.record.reasons[value.key.removesuffix(': count')] = int(value.value)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--seed', type=int, default=None, help='of the faults (default: by chance)')
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    print(f'{args.minutes:g} minutes with seed {seed}', flush=True)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C ends the run, not ROS
    graph = Graph()
    soak = Soak(graph, seed)
    try:
        soak.run(args.minutes)
    except KeyboardInterrupt:
        print('ended early')
    finally:
        soak.close()
        graph.close()
        rclpy.try_shutdown()
    found = broken(soak.record)
    print(table(soak.record), *(f'BROKEN: {each}' for each in found), sep='\n')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
