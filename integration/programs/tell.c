/* Writes what a process inherits from whoever started it, one fact a line.
 * usage: tell [--to FILE] SUBJECT
 *
 * Writes to standard output, or with --to into FILE (for runs whose standard
 * output is closed; FILE is opened above the descriptors that are described).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;
static FILE *out;

static void arguments(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        fprintf(out, "argv[%d]=%s\n", i, argv[i]);
}

static void environment(void)
{
    for (char **entry = environ; *entry; entry++)
        fprintf(out, "%s%c", *entry, 0);
}

static void directory(void)
{
    char buffer[PATH_MAX];

    fprintf(out, "%s\n", getcwd(buffer, sizeof buffer) ? buffer : strerror(errno));
}

static void file_mode(void)
{
    mode_t mask = umask(0);

    fprintf(out, "%04o\n", (unsigned)mask);
}

static void limits(void)
{
    for (int kind = 0; kind < RLIM_NLIMITS; kind++) {
        struct rlimit limit;

        if (getrlimit(kind, &limit) == 0)
            fprintf(out, "%d: %lld %lld\n", kind, (long long)limit.rlim_cur,
                    (long long)limit.rlim_max);
    }
}

static void scheduling(void)
{
    cpu_set_t cpus;

    fprintf(out, "nice %d\n", getpriority(PRIO_PROCESS, 0));
    fprintf(out, "policy %d\n", sched_getscheduler(0));
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus);
    fprintf(out, "cpus");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &cpus))
            fprintf(out, " %d", cpu);
    fprintf(out, "\n");
}

/* Number, access mode and kind of everything that is open, our own output aside. */
static void descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        struct stat about;
        char link[64], target[PATH_MAX];
        ssize_t length;

        if (fd == fileno(out) && fd > 2)
            continue;
        if (fstat(fd, &about) != 0)
            continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        /* Pipes and sockets carry a number of their own. */
        if (!S_ISREG(about.st_mode) && !S_ISCHR(about.st_mode) && !S_ISDIR(about.st_mode))
            *strchrnul(target, '[') = 0;
        fprintf(out, "%d %s %s\n", fd, target,
                (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY   ? "read"
                : (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? "write"
                                                               : "both");
    }
}

static void signals(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];

    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0)
            fputs(line, out);
}

static void terminal(void)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);

    fprintf(out, "terminals %d%d%d\n", isatty(0), isatty(1), isatty(2));
    fprintf(out, "controlling terminal: %s\n", tty >= 0 ? "yes" : "no");
    fprintf(out, "in the foreground: %s\n",
            tty >= 0 && tcgetpgrp(tty) == getpgrp() ? "yes" : "no");
    fprintf(out, "terminal of our session: %s\n",
            tty >= 0 && tcgetsid(tty) == getsid(0) ? "yes" : "no");
}

int main(int argc, char **argv)
{
    int first = 1;

    out = stdout;
    if (argc > 2 && strcmp(argv[1], "--to") == 0) {
        int low = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        int high = fcntl(low, F_DUPFD_CLOEXEC, 900);

        close(low);
        out = fdopen(high, "w");
        if (!out)
            return 2;
        first = 3;
    }
    const char *subject = argc > first ? argv[first] : "";
    if (strcmp(subject, "arguments") == 0)
        arguments(argc, argv);
    else if (strcmp(subject, "environment") == 0)
        environment();
    else if (strcmp(subject, "directory") == 0)
        directory();
    else if (strcmp(subject, "umask") == 0)
        file_mode();
    else if (strcmp(subject, "limits") == 0)
        limits();
    else if (strcmp(subject, "scheduling") == 0)
        scheduling();
    else if (strcmp(subject, "descriptors") == 0)
        descriptors();
    else if (strcmp(subject, "signals") == 0)
        signals();
    else if (strcmp(subject, "terminal") == 0)
        terminal();
    else {
        fprintf(stderr, "tell: no such subject: '%s'\n", subject);
        return 2;
    }
    return fclose(out) == 0 ? 0 : 2;
}
