"""A thread that takes batches of rows from a bounded queue, so that reading and writing go on side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa

#: Batches that may wait: enough to keep both sides busy, little enough to bound memory.
_WAITING = 4


class BatchThread:
    """Runs `consume` on the batches that `put` gives it."""

    def __init__(self, name: str, consume: Callable[[Iterator[pa.RecordBatch]], None]) -> None:
        self._consume = consume
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._is_open = True
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, batch: pa.RecordBatch) -> None:
        """Hand the next rows over; raises what the thread met, as soon as it is known."""
        if self.failure:
            raise self.failure
        self._queue.put(batch)

    def join(self) -> None:
        """Wait until all batches are consumed; `failure` then says what was met."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._consume(self._batches())
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits for it
            self.failure = error
        finally:
            # What nobody wants any more must not block who puts it.
            for _ in self._batches() if self._is_open else ():
                pass

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._queue.get()) is not None:
            yield batch
        self._is_open = False
