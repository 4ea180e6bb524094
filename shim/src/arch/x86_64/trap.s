# Ends the process with SIGILL.
    ud2
