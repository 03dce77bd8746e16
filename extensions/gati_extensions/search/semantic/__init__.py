"""Search by meaning, around any index that finds words (extra `semantic`; off unless `[search] semantic` is set).

tokens, encoder   texts as vectors, in numpy alone
vectors           which vectors are near: eight bits a dimension, in the memory of the worker that is asked
store             the vectors' table, and texts that wait to be embedded
index             the port: words' hits and meaning's neighbours fused by their ranks
"""
