/* Ends in the way that is asked for.
 * usage: end exit STATUS | end signal NUMBER
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: end exit STATUS | end signal NUMBER\n");
        return 2;
    }
    int number = atoi(argv[2]);
    if (strcmp(argv[1], "exit") == 0)
        return number;

    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    signal(number, SIG_DFL);
    kill(getpid(), number);
    fprintf(stderr, "end: survived signal %d\n", number);
    return 2;
}
