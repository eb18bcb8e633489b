"""One module a command, each with `run(args) -> exit code`; loaded only when its command is called."""
