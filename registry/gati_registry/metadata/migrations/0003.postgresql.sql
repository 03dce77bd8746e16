-- With all that the collector asks of a link, so that it is answered from the index.
DROP INDEX link_pending;
CREATE INDEX link_pending ON link (repository_id, blob_id, pending_at, condemned_at) WHERE pending_at IS NOT NULL;

-- With the repository: every repository may link one blob (the empty config), and who asks for one link of it by this
-- index is not to read them all.
DROP INDEX link_blob;
CREATE INDEX link_blob ON link (blob_id, repository_id);
