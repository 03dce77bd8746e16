"""Extensions that ship with the registry."""
