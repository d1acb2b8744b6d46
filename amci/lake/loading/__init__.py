"""From a raw object to rows in the lake: the light run, then the heavy run.

The *light* run reads the file and writes its rows to pre-stage, every column as text: nothing is lost, and types can be
inferred again later. The *heavy* run casts the text to column types, applies the quality rules, and commits the rows
to the lake together with the ledger. They are two runs because reading is quick and safe to do side by side, whereas
a commit is one at a time and takes many objects together.

With a dataset `orders` that has the rule `{not_null: [id], on_fail: quarantine_rows}`, and three rows, one of them bad:

    raw/adtech/orders/lines/a.csv                                    id,amount
                                                                     1,10
                                                                     ,20
                                                                     3,30.5

    light → stage/pre-stage/adtech/orders/lines/a.1v1.parquet        id    amount  _object_id  _version  _row
            (object 1, version 1; all text)                          1     10      1           1         1
                                                                     NULL  20      1           1         2
                                                                     3     30.5    1           1         3

    heavy → stage/post-stage/adtech_orders/lines/ducklake-….parquet  id    amount  _object_id  _version
            (id BIGINT, amount DOUBLE)                               1     10.0    1           1
                                                                     3     30.5    1           1
            quarantine/adtech_orders/lines/1v1.not_null_id.parquet   the second row, with its number in the file

A file that cannot be read (a row with too many fields, say) stops at the light run: its object is in quarantine, its
rows are not in the lake, and the rows of its older version stay.
"""
