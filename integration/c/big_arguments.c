/* big_arguments PROGRAM SPARE: execs PROGRAM with arguments that leave SPARE bytes of what
   the kernel takes for arguments and environment. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    static char *v[4096];
    long room = sysconf(_SC_ARG_MAX) - atol(argv[2]) - 2 * sizeof(char *);
    int count = 0;
    (void)argc;
    for (char **entry = environ; *entry; entry++)
        room -= strlen(*entry) + 1 + sizeof(char *);
    /* The kernel counts the path itself once more. */
    room -= 2 * (strlen(argv[1]) + 1) + 2 * sizeof(char *);
    v[count++] = argv[1];
    while (room > 64) {
        long length = room > 100000 ? 100000 : room - 1 - sizeof(char *);
        char *text = malloc(length + 1);
        memset(text, 'x', length);
        text[length] = 0;
        v[count++] = text;
        room -= length + 1 + sizeof(char *);
    }
    execv(argv[1], v);
    printf("execv failed with %s\n", strerrorname_np(errno));
    return 3;
}
