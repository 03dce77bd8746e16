"""GTypes: three spellings of a type, one tree, one hash.

a spelling ──reading──▶ raw graph ──settling──▶ GType (canonical JSON, gtypeHash)
a manifest ──signatures──▶ its GTypes by name; its methods, what they take and give
"""
