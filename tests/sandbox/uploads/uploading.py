"""An advertiser who puts files into buckets and uploads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from amci.amcsql.sources import Source
from amci.sandbox.options import DEFAULT_INSTANCE
from amci.sandbox.uploads.uploaded import uploaded_sources

from ..calling import Answer, Caller

INSTANCE = DEFAULT_INSTANCE.instance_id
COLUMNS: list[dict[str, Any]] = [
    {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"},
    {"name": "quantity", "dataType": "LONG", "columnType": "METRIC"},
]


class Uploads:
    """An advertiser who uploads into the data set `sales`."""

    base = f"/amc/advertiserData/{INSTANCE}"
    plain = b"product,quantity\nTent,2\nStove,1\n"

    def __init__(self, amc: Caller) -> None:
        self.amc = amc

    def put(self, key: str, content: bytes, bucket: str = "files") -> None:
        path = self.amc.directory / "uploads" / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def define(self, *columns: Any, data_set_id: str = "sales", **more: Any) -> None:
        body = {"dataSetId": data_set_id, "columns": list(columns or COLUMNS), **more}
        answer = self.amc.ask("POST", f"{self.base}/dataSets", {"dataSet": body})
        assert answer.status == 200, answer.content

    def request(self, key: str = "sales.csv", **more: Any) -> dict[str, Any]:
        return {
            "updateStrategy": "ADDITIVE",
            "dataSource": {"sourceS3Bucket": "files", "sourceFileS3Key": key},
            "fileFormat": {"csvDataFormat": {}},
        } | more

    def ask(self, data_set_id: str = "sales", **more: Any) -> Answer:
        return self.amc.ask("POST", f"{self.base}/uploads/{data_set_id}", self.request(**more))

    def submit(self, data_set_id: str = "sales", **more: Any) -> str:
        answer = self.ask(data_set_id, **more)
        assert answer.status == 200, answer.content
        return str(answer.json["uploadId"])

    def shown(self, upload_id: str, data_set_id: str = "sales") -> dict[str, Any]:
        answer = self.amc.ask("GET", f"{self.base}/uploads/{data_set_id}/{upload_id}")
        return dict(answer.json["upload"])

    def upload(self, content: bytes = plain, **more: Any) -> dict[str, Any]:
        """An upload of one file, which has ended."""
        self.put("sales.csv", content)
        return self.shown(self.submit(**more))

    def sources(self) -> Mapping[str, Source]:
        return uploaded_sources(self.amc.sandbox.backend, INSTANCE)

    def rows(self, query: str = "SELECT * FROM amc.sales ORDER BY ALL") -> list[Any]:
        """What queries over the uploaded tables would find."""
        with duckdb.connect() as con:
            con.execute("CREATE SCHEMA amc")
            for name, source in self.sources().items():
                con.execute(f"CREATE VIEW amc.{name} AS {source.reads}")
            return con.execute(query).fetchall()


#: Opens sandboxes, see the fixture `uploading`.
Uploading = Callable[..., Uploads]
