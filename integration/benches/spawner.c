/* Starts a program many times, from many processes at once, and tells how long that took.
 *
 * usage: spawner posix_spawn|vfork WORKERS WARM_UPS CALLS STATUS PROGRAM [ARGUMENT...]
 *
 * Each worker starts PROGRAM CALLS times, one after the other, and demands that it exits with
 * STATUS. Prints the nanoseconds from the first start to the last end, the nanoseconds of CPU that
 * workers and programs used, and then the nanoseconds of every call, one a line. WARM_UPS calls of
 * each worker come before all that and are not counted.
 *
 * C, because a preload library is measured in it: what a std program does beside would be
 * measured, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct result {
    int64_t begin, end, cpu;
    int64_t latencies[];
};

static void fail(const char *what, int error)
{
    fprintf(stderr, "spawner: %s: %s\n", what, strerror(error));
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int64_t cpu_of(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000000)
        + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * INT64_C(1000);
}

static int64_t cpu(void)
{
    return cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN);
}

static void call(int by_vfork, int expected, char **command)
{
    pid_t child;
    if (by_vfork) {
        child = vfork();
        if (child == 0) {
            execve(command[0], command, environ);
            _exit(127);
        }
        if (child < 0)
            fail("vfork", errno);
    } else {
        int error = posix_spawn(&child, command[0], NULL, NULL, command, environ);
        if (error != 0)
            fail(command[0], error);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        fail("waitpid", errno);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected) {
        fprintf(stderr, "spawner: %s: wait status %#x, expected exit status %d\n", command[0],
                status, expected);
        exit(1);
    }
}

static void work(struct result *result, int warm_ups, int calls, int by_vfork, int expected,
                 char **command, int ready, int go)
{
    char byte = 0;
    for (int i = 0; i < warm_ups; i++)
        call(by_vfork, expected, command);
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
        fail("waiting for the other workers", errno);
    int64_t cpu_before = cpu();
    result->begin = now();
    int64_t last = result->begin;
    for (int i = 0; i < calls; i++) {
        call(by_vfork, expected, command);
        int64_t end = now();
        result->latencies[i] = end - last;
        last = end;
    }
    result->end = last;
    result->cpu = cpu() - cpu_before;
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr,
                "usage: spawner posix_spawn|vfork WORKERS WARM_UPS CALLS STATUS PROGRAM...\n");
        return 2;
    }
    int by_vfork = strcmp(argv[1], "vfork") == 0;
    int workers = atoi(argv[2]), warm_ups = atoi(argv[3]), calls = atoi(argv[4]);
    int expected = atoi(argv[5]);
    char **command = argv + 6;
    size_t size = sizeof(struct result) + calls * sizeof(int64_t);
    char *results = mmap(NULL, workers * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    if (results == MAP_FAILED)
        fail("mmap", errno);
    int ready[2], go[2];
    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0)
        fail("pipe2", errno);
    for (int i = 0; i < workers; i++) {
        pid_t worker = fork();
        if (worker < 0)
            fail("fork", errno);
        if (worker == 0) {
            close(ready[0]);
            close(go[1]);
            struct result *result = (struct result *)(results + i * size);
            work(result, warm_ups, calls, by_vfork, expected, command, ready[1], go[0]);
            return 0;
        }
    }
    close(ready[1]);
    char byte;
    for (int i = 0; i < workers; i++)
        if (read(ready[0], &byte, 1) != 1)
            return 1;
    close(go[1]);
    int status;
    for (int i = 0; i < workers; i++)
        if (wait(&status) < 0 || status != 0)
            return 1;

    int64_t begin = INT64_MAX, end = 0, cpu_total = 0;
    for (int i = 0; i < workers; i++) {
        struct result *result = (struct result *)(results + i * size);
        begin = result->begin < begin ? result->begin : begin;
        end = result->end > end ? result->end : end;
        cpu_total += result->cpu;
    }
    printf("%" PRId64 "\n%" PRId64 "\n", end - begin, cpu_total);
    for (int i = 0; i < workers; i++) {
        struct result *result = (struct result *)(results + i * size);
        for (int j = 0; j < calls; j++)
            printf("%" PRId64 "\n", result->latencies[j]);
    }
    return 0;
}
