# Starts `probe` in each way that awk has, named on the command line.
BEGIN {
    for (i = 1; i < ARGC; i++) {
        way = ARGV[i]
        command = "probe " way
        print way
        fflush()
        if (way == "system") print system(command)
        else if (way == "system-status") print system(command " 7")
        else if (way == "getline") { while ((command | getline line) > 0) print line; close(command) }
        else if (way == "print") { print "input" | command; close(command) }
        else { print "no such way: " way > "/dev/stderr"; exit 2 }
    }
}
