"""Four cameras at 5 Hz with a hand_node each, two hands in view: what each answers, how late, and its CPU.

`make four-cameras` runs it.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import environment

environment.prepare()

import numpy as np  # noqa: E402
import rclpy  # noqa: E402
from graph import Graph  # noqa: E402
from node_process import NodeProcess  # noqa: E402
from stream import Stream  # noqa: E402

from maskhand_ros.msg import HandArray  # noqa: E402
from maskhand_ros.nodes.messages import stamp_to_ns  # noqa: E402

CAMERAS, RATE, NEEDED = 4, 5.0, 4.5


@dataclass
class Result:
    """Of one camera."""

    sent: int
    seconds: float
    latencies: np.ndarray
    """Seconds from publishing to hearing of every answer with two hands."""
    cpu: float
    """Cores that its hand_node takes."""

    @property
    def rate(self):
        """Pictures answered with two hands, a second."""
        return self.latencies.size / self.seconds

    def third(self, which):
        """Median latency of a third (0, 1, 2) of the time, in s."""
        return float(np.median(np.array_split(self.latencies, 3)[which]))


def measure(graph, seconds):
    """A Result for each camera, after they have come up."""
    names = [f'/camera_{number}' for number in range(CAMERAS)]
    nodes, streams, heard = [], [], {name: [] for name in names}
    try:
        for name in names:
            nodes.append(NodeProcess(graph, name, threads=1))
            nodes[-1].change('configure', 'activate')
            graph.hear_each(HandArray, f'{name}/hand_node/hands', _listener(heard[name]))
            streams.append(Stream(name, RATE))
        graph.wait(lambda: all(len(answers) > 10 for answers in heard.values()), 60)
        begin, cpu = time.monotonic(), [node.cpu_seconds() for node in nodes]
        time.sleep(seconds)
        end = time.monotonic()
        cpu = [(node.cpu_seconds() - before) / seconds for node, before in zip(nodes, cpu, strict=True)]
        graph.wait(lambda: all(answers[-1][1] > end for answers in heard.values()))
    finally:
        for each in streams:
            each.close()
        for each in nodes:
            each.end()
    results = []
    for stream, answers, cores in zip(streams, heard.values(), cpu, strict=True):
        sent = {stamp: at for stamp, at in stream.sent.items() if begin <= at < end}
        late = np.array([at - sent[stamp] for stamp, at in answers if stamp in sent])
        results.append(Result(len(sent), end - begin, late, cores))
    return results


def _listener(answers):
    def hear(msg):
        if len(msg.hands) == 2:
            answers.append((stamp_to_ns(msg.header.stamp), time.monotonic()))

    return hear


def main():
    """The command line; exit code 1 where a camera has less than NEEDED Hz."""
    parser = argparse.ArgumentParser(description=__doc__.partition(':')[0])
    parser.add_argument('--seconds', type=float, default=60)
    args = parser.parse_args()
    rclpy.init(args=[])
    graph = Graph()
    try:
        results = measure(graph, args.seconds)
    finally:
        graph.close()
        rclpy.try_shutdown()
    for result in results:
        p50, p99 = np.percentile(result.latencies, (50, 99)) * 1e3
        print(
            f'{result.rate:.2f} Hz of {result.sent / result.seconds:.2f} sent, latency p50 {p50:.0f} ms, '
            f'p99 {p99:.0f} ms, median of thirds '
            f'{" ".join(f"{result.third(n) * 1e3:.0f}" for n in range(3))} ms, CPU {result.cpu:.2f} cores'
        )
    print(f'CPU of the {CAMERAS} nodes: {sum(result.cpu for result in results):.2f} cores')
    sys.exit(min(result.rate for result in results) < NEEDED)


if __name__ == '__main__':
    main()
