"""Data sets that advertisers upload, and the people in them (amc-api 2.5).

The data set `sales` has the columns email (an identifier, which AMC hashes), product, quantity and bought_at (the main
event time). An upload of `sales.csv` with

    email,product,quantity,bought_at
    Person7@example.com,Tent,2,2026-10-02T08:00:00Z
    someone@else.org,Stove,1,2026-10-03T09:30:00Z

is queued by `uploads.create`, and carried out when its time has come:

1. `bucket_files` finds the file, `unpacking` decompresses it, and `formats` reads it as a relation: the number of each
   record, and its values as text.
2. `checks` tests all values before anything is written. A wrong one fails the upload with its place, not its content:
   `sales.csv, line 2, column quantity: expected a whole number of 64 bits.`
3. `checks` casts values and hashes identifiers, `identities` finds the user of each row, and `loading` writes the rows:

       c1    | c2 | c3               | user_id   | "amci user" | "amci part" | "amci identities"
       Tent  | 2  | 2026-10-02 08:00 | a3f7fca9… | 7           | 832510      | [EMAIL:032e7bfd…]
       Stove | 1  | 2026-10-03 09:30 | c2ede170… | 91          | 267514      | [EMAIL:73648857…]

   The e-mail itself is gone. Other columns have keys instead of names, so that renaming one rewrites no file. Person 7
   of the synthetic world is found by the e-mail that `identities` defines. The world has no person with the other
   e-mail, so its digest decides that it matches, and whom it stands for. `deletions` needs "amci identities".
4. `versions` puts the file into a new version of the data set, a folder that replaces the old one in one step, so that
   no query ever reads half an upload. `uploaded` shows the current version to queries.
"""
