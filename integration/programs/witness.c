/* Reports over a socket what happens to it, so that a test can wait for it.
 * usage: witness SOCKET [--default]
 *
 * Connects to SOCKET, writes "ready", then the name of every signal that it is
 * given (with --default it catches none and dies as any program would). It
 * reads orders, one a line: "ping" is answered "pong", "exit N" ends it with
 * that status. It also ends, with status 0, when the other side closes.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const int CAUGHT[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
                             SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT,
                             SIGPWR};
static int connection;

static void say(const char *word)
{
    char line[64];
    size_t length = strlen(word);

    memcpy(line, word, length);
    line[length] = '\n';
    if (write(connection, line, length + 1) < 0)
        _exit(3);
}

/* Only calls that are safe in a handler: sigabbrev_np reads a table. */
static void report(int number)
{
    int saved = errno;

    say(sigabbrev_np(number));
    errno = saved;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char order[64];
    size_t filled = 0;

    if (argc < 2 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: witness SOCKET [--default]\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("witness: connect");
        return 2;
    }
    if (argc < 3) {
        /* Everything blocked in a handler: reports come in the order of delivery. */
        struct sigaction action = {.sa_handler = report};

        sigfillset(&action.sa_mask);
        for (size_t i = 0; i < sizeof CAUGHT / sizeof *CAUGHT; i++)
            sigaction(CAUGHT[i], &action, NULL);
    }
    say("ready");
    for (;;) {
        char byte;
        ssize_t count = read(connection, &byte, 1);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return 0;
        if (byte != '\n') {
            if (filled < sizeof order - 1)
                order[filled++] = byte;
            continue;
        }
        order[filled] = 0;
        filled = 0;
        if (strcmp(order, "ping") == 0)
            say("pong");
        else if (strncmp(order, "exit ", 5) == 0)
            return atoi(order + 5);
    }
}
