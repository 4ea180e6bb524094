/* Starts a program with an environment that no shell would make: an entry
 * without '=', an empty name, one name twice, bytes that are not UTF-8.
 * usage: crowded PROGRAM [ARG...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    static char *odd[] = {"WITHOUT_EQUALS", "=empty name", "TWICE=first", "TWICE=second",
                          "LATIN1=caf\xe9", "EMPTY="};
    size_t odd_count = sizeof odd / sizeof *odd, count = 0;

    while (environ[count])
        count++;
    char **all = calloc(count + odd_count + 1, sizeof *all);
    if (!all || argc < 2)
        return 2;
    for (size_t i = 0; i < odd_count; i++)
        all[i] = odd[i];
    for (size_t i = 0; i < count; i++)
        all[odd_count + i] = environ[i];
    execve(argv[1], argv + 1, all);
    perror("crowded");
    return 127;
}
