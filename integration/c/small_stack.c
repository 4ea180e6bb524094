/* small_stack PROGRAM COMMAND: starts PROGRAM by posix_spawn, posix_spawnp and vfork+execve,
   and COMMAND by system, on a thread with the smallest stack that POSIX allows. */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char **arguments;

/* The id by its address: it is set by the call whose result is the argument before it. */
static void finish(const char *what, int error, const pid_t *pid) {
    int status = -1;
    if (!error && pid) waitpid(*pid, &status, 0);
    char line[64];
    int length = snprintf(line, sizeof line, "%s %d %d\n", what, error, status);
    if (write(1, line, length) != length) _exit(1);
}

static void *start(void *unused) {
    char *program = arguments[1], *v[] = {program, NULL}, *none[] = {NULL};
    char *name = strrchr(program, '/') + 1;
    pid_t pid = 0;
    finish("posix_spawn", posix_spawn(&pid, program, NULL, NULL, v, environ), &pid);
    finish("posix_spawn in an empty environment",
           posix_spawn(&pid, program, NULL, NULL, v, none), &pid);
    finish("posix_spawnp", posix_spawnp(&pid, name, NULL, NULL, v, environ), &pid);
    pid = vfork();
    if (pid == 0) {
        execve(program, v, environ);
        _exit(127);
    }
    finish("vfork", 0, &pid);
    int status = system(arguments[2]);
    finish("system", status, NULL);
    return unused;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    (void)argc;
    arguments = argv;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, 16384)) return 2;
    if (pthread_create(&thread, &attributes, start, NULL)) return 3;
    return pthread_join(thread, NULL) ? 4 : 0;
}
