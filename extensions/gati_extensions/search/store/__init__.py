"""The index in the registry's own database: FTS5 on SQLite, tsvector on PostgreSQL.

    search_index_state       which of two sets of tables serves, and which is being built
    search_index_document#   an artifact: what is sorted, filtered and counted; `id` grows with fame and newness
    search_index_body#       what is shown of it
    search_index_text#       its words: full text, and a mark for each word of a field
    search_index_number#     its numbers        search_index_gati#   spans of Gati versions
    search_index_word#       words there are, for misspellings
    search_dirty             what has changed and is to be indexed

Ranking and counting look at a bounded number of hits, in the order of ids from the highest: artifacts with many
downloads and stars first (in steps of powers of two), among equals the newest.
"""
