"""A writer that takes batches of rows from a bounded queue, so that reading and writing go on side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Self

import pyarrow as pa

#: Batches that may wait: enough to keep both sides busy, little enough to bound memory.
_WAITING = 4


class BatchWriter:
    """Has `consume` called in a thread, with the batches that are written. A context manager."""

    def __init__(self, name: str, consume: Callable[[Iterator[pa.RecordBatch]], None]) -> None:
        self._consume = consume
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._is_open = True
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self.ended(value or self._failure)
        if self._failure and value is None:
            raise self._failure

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows; raises what the thread met, as soon as it is known."""
        if self._failure:
            raise self._failure
        self._queue.put(batch)

    def ended(self, failure: BaseException | None) -> None:
        """Keep what was written, or, after a failure here or in the block, let it go."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self._consume(self._batches())
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits for it
            self._failure = error
        finally:
            # What nobody wants any more must not block who writes it.
            for _ in self._batches() if self._is_open else ():
                pass

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._queue.get()) is not None:
            yield batch
        self._is_open = False
