/* Stands in for redirector: says what it was asked for, then runs it here without the shim.
   Static, like the real one, so that its own exec is not intercepted. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *path = getenv("REDIRECTOR_EXEC");
    (void)argc;
    if (!path) {
        fputs("fake redirector: REDIRECTOR_EXEC is not set\n", stderr);
        return 99;
    }
    printf("redirected %s\n", path);
    fflush(stdout);
    path = realpath(path, NULL);
    unsetenv("REDIRECTOR_EXEC");
    unsetenv("LD_PRELOAD");
    execv(path, argv);
    perror("fake redirector");
    return 99;
}
