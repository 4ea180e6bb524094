/* vfork_growth PROGRAM: prints by how many KiB this process grew during 1000 starts of
   PROGRAM by vfork and execve in an empty environment, after 100 to warm up. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static long resident(void) {
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) exit(2);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void spawn(char *program, int times) {
    char *v[] = {program, NULL}, *none[] = {NULL};
    for (int i = 0; i < times; i++) {
        int status = 0;
        pid_t pid = vfork();
        if (pid == 0) {
            execve(program, v, none);
            _exit(127);
        }
        waitpid(pid, &status, 0);
        if (status) exit(3);
    }
}

int main(int argc, char **argv) {
    (void)argc;
    resident();
    spawn(argv[1], 100);
    long before = resident();
    spawn(argv[1], 1000);
    printf("%ld\n", resident() - before);
    return 0;
}
