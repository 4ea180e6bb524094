// Ends the process with SIGTRAP.
    brk #1
