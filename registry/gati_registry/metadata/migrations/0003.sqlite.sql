-- With all that the collector asks of a link: else SQLite walks through every link, for most of which nothing is pending.
DROP INDEX link_pending;
CREATE INDEX link_pending ON link (repository_id, blob_id, pending_at, condemned_at) WHERE pending_at IS NOT NULL;
