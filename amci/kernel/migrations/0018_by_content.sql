-- What is inside of a compressed file tells duplicates, so they are found by that, and not by the hash of its bytes.

CREATE INDEX versions_by_content ON versions (content) WHERE content IS NOT NULL;
DROP INDEX versions_by_sha256;
CREATE INDEX versions_unplaced ON versions (sha256) WHERE sha256 IS NOT NULL AND content IS NULL;
