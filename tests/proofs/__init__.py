"""Long proofs of durability: kill -9, power loss, large blobs, disk trouble."""
