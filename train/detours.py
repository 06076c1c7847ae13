"""Going back to a good checkpoint and round the batches that spoilt what came after it."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from etils import epath

from data import atomic
from sharding.hosts import is_lead, meet
from train.safety import Safety
from train.state import TrainState

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Batch = TypeVar("Batch")
_SIGNS = "safety/"


@dataclasses.dataclass(frozen=True)
class Incident:
    """Batches that a run passes over.

    Attributes:
      step: steps done before the first of them.
      first: data position of the first of them.
      until: data position after the last.
    """

    step: int
    first: int
    until: int


class TooLongARow(Exception):
    """Too many bad steps in a row: the run has to go back."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(str(incident))
        self.incident = incident


class Detours:
    """The incidents of a run: those known when it started, and the one that makes it go back.

    Args:
      path: the file that they are kept in, one JSON object a line.
      safety: how often a run may go back.
      say: prints a line.
    """

    def __init__(self, path: epath.Path, safety: Safety, say: Callable[[str], None] = print) -> None:
        self._path, self._safety, self._say = path, safety, say
        self.known = read_incidents(path)

    def around(
        self, reading: Callable[[int], Iterator[tuple[int, Batch]]]
    ) -> Callable[[int], Iterator[tuple[int, Batch]]]:
        """`reading`, which yields from a position on, less what is to be passed over."""

        def read(position: int) -> Iterator[tuple[int, Batch]]:
            for incident in sorted(self.known, key=lambda incident: incident.first):
                if position < incident.first:
                    yield from itertools.islice(reading(position), incident.first - position)
                position = max(position, incident.until)
            yield from reading(position)

        return read

    def before(self, step: int, state: TrainState) -> TrainState:
        """The state before its step `step` (from 1): where batches are passed over here, the position jumps."""
        gap = sum(incident.until - incident.first for incident in self.known if incident.step == step - 1)
        # Added on the device, which the host need not wait for.
        return state._replace(position=state.position + gap) if gap else state

    def trusted(self, start: int) -> int | float:
        """The step up to which a start after `start` steps reads as starts before it did, as far as is known here."""
        return min((incident.step for incident in self.known if incident.step >= start), default=float("inf"))

    def undone(self, position: int, known: list[list[int]]) -> bool:
        """Whether a state at this position, saved when these incidents were `known`, has read what is passed over."""
        return any(one.first < position and [one.first, one.until] not in known for one in self.known)

    def told(self, step: int, values: dict[str, float]) -> dict[str, float]:
        """Metrics of a step without the signs of a long row.

        Raises TooLongARow if there are any, after they are on record.
        """
        signs = {key.removeprefix(_SIGNS): int(value) for key, value in values.items() if key.startswith(_SIGNS)}
        kept = {key: value for key, value in values.items() if not key.startswith(_SIGNS)}
        if signs.get("tripped"):
            self._record(Incident(signs["step"], signs["first"], signs["until"]), step)
        return kept | ({"train/rollbacks": float(len(self.known))} if self.known else {})

    def _record(self, incident: Incident, step: int) -> None:
        if len(self.known) >= self._safety.rollbacks:
            raise ValueError(
                f"steps {incident.step + 1} and on were bad, and the run has gone back {len(self.known)} times "
                f"already, the most that safety.rollbacks allows; {self._path} has the batches"
            )
        if is_lead():
            before = self._path.read_text() if self._path.exists() else ""
            line = json.dumps({**dataclasses.asdict(incident), "noticed": step})
            atomic.write_text(self._path, f"{before}{line}\n")
        self._say(
            f"safety: the steps from {incident.step + 1} on were bad; the run goes back and passes over the batches "
            f"from {incident.first} to {incident.until - 1}"
        )
        raise TooLongARow(incident)


def read_incidents(path: epath.Path) -> list[Incident]:
    """The incidents on record, oldest first. Raises ValueError, naming the file, if it cannot be read."""
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [Incident(line["step"], line["first"], line["until"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); without it the run would read other batches") from None


def going_back(train: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`train`, called again as often as it meets too long a row of bad steps: it goes on from a good checkpoint."""

    @functools.wraps(train)
    def survived(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        while True:
            try:
                return train(*args, **kwargs)
            except TooLongARow as row:
                name = f"incident {row.incident.first}"
            # Outside of the handler, where nothing holds the state that is given up.
            meet(name)

    return survived


def jumps(known: list[Incident]) -> list[list[int]]:
    """Incidents as a checkpoint's note keeps them."""
    return [[one.first, one.until] for one in known]

