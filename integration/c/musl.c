/* musl NAME: execs NAME with one argument by execlp. musl "" COMMAND: runs COMMAND by system.
   Compiled with musl-gcc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (errno) return 9;
    if (argc > 2) return system(argv[2]);
    execlp(argv[1], argv[1], "argument", (char *)0);
    perror(argv[1]);
    return 3;
}
