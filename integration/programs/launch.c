/* Starts a program in its place, by execvp.
 * usage: launch PROGRAM [ARG...]
 *
 * Built in three ways: for musl's loader, static, and plain.
 */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc > 1)
        execvp(argv[1], argv + 1);
    perror("launch");
    return 127;
}
