"""Contents of the images of each kind beside the hand: probabilities, and the errors of the crop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contents:
    """Chances of what a picture of one kind holds."""

    jitter: tuple[float, float, float] = (0.12, 0.06, 0.17)
    """How the crop of a tracked hand strays from the rule around the true keypoints: scale, shift over side,
    roll in radians (standard deviations)."""
    second: float = 0.0
    """A second hand."""
    touching: float = 0.0
    """Share of second hands that touch this one."""
    held: float = 0.0
    """A thing in the hand."""
    front: float = 0.04
    """Something flat in front."""
    leaving: float = 0.03
    """The hand leaves the image."""
    gloved: float = 0.0
    ringed: float = 0.0
    person: float = 0.0
    """A person behind the hand."""


_EVERYDAY = Contents(second=0.14, touching=0.6, held=0.14, leaving=0.1, gloved=0.06, ringed=0.15, person=0.5)

CONTENTS = {
    'camera': Contents(second=0.07, held=0.08),
    'stress': Contents((0.15, 0.08, 0.26), second=0.08, held=0.12, front=0.35, leaving=0.04),
    'everyday': _EVERYDAY,
    'objects': Contents(
        held=1.0, second=0.06, touching=0.3, gloved=0.04, ringed=0.12, person=0.4, front=0.06
    ),
    'gloves': Contents(gloved=1.0, held=0.2, second=0.15, touching=0.5, person=0.4),
    'clasped': Contents(second=1.0, touching=1.0, gloved=0.04, ringed=0.15, person=0.5),
    'own_view': Contents(second=0.5, touching=0.25, held=0.4, gloved=0.1, ringed=0.12, leaving=0.12),
    'no_hand': Contents(person=0.6, front=0.1),
}
"""By kind of scene, see scenes.KINDS."""
