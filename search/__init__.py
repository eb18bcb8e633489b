"""The study manager: study files, space, slots, tracking, the command line."""
