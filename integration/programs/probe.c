/* The whitelisted program of the runtime matrix: says how it was started.
 * usage: probe [LABEL [EXIT_STATUS]]
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char directory[PATH_MAX];
    const char *mark = getenv("PROBE_MARK");

    for (int i = 0; i < argc; i++)
        printf("argv[%d]=%s\n", i, argv[i]);
    printf("cwd=%s\n", getcwd(directory, sizeof directory) ? directory : "?");
    printf("PROBE_MARK=%s\n", mark ? mark : "(unset)");
    return argc > 2 ? atoi(argv[2]) : 0;
}
