"""The registry's core from inside: values, rules, services and adapters, without a server process."""
