-- Filters look for a whole line in `facets`: the first and the last one end in line feeds too.
UPDATE search_index_document1 SET facets = chr(10) || facets || chr(10) WHERE facets <> '';
UPDATE search_index_document2 SET facets = chr(10) || facets || chr(10) WHERE facets <> '';

-- More values of a field than before: only a new index has them all.
INSERT INTO fact (name, value) SELECT 'search.build', 'wanted' WHERE EXISTS (SELECT 1 FROM search_index_document1)
    OR EXISTS (SELECT 1 FROM search_index_document2) ON CONFLICT (name) DO UPDATE SET value = 'wanted';
