/* caller FUNCTION PROGRAM [ARGUMENT...]: starts PROGRAM by one libc function and says what
   the function answered. PROGRAM's argv is ARGUMENT..., argv[0] included. Functions with an
   environment of their own pass on this one's, with MARK=given and the PATH of GIVEN_PATH. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;

static char *given[4096];

static void make_environment(void) {
    static char path[4096];
    const char *other = getenv("GIVEN_PATH");
    int n = 0;
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, "MARK=", 5) && (!other || strncmp(*entry, "PATH=", 5)))
            given[n++] = *entry;
    given[n++] = "MARK=given";
    if (other) {
        snprintf(path, sizeof path, "PATH=%s", other);
        given[n++] = path;
    }
    given[n] = NULL;
}

static int report(const char *function, int result) {
    printf("%s answered %d, errno %s\n", function, result, strerrorname_np(errno));
    return 3;
}

/* The id by its address: it is set by the call whose result is the argument before it. */
static int wait_for(const char *function, int result, const pid_t *pid) {
    int status = 0;
    if (result) {
        printf("%s answered %s, errno %d\n", function, strerrorname_np(result), errno);
        return 3;
    }
    waitpid(*pid, &status, 0);
    printf("child ended with %d\n", status);
    return 0;
}

#define A1 v[0]
#define A2 A1, v[1]
#define A3 A2, v[2]
#define A4 A3, v[3]
#define A5 A4, v[4]
#define A6 A5, v[5]
#define A7 A6, v[6]
#define A8 A7, v[7]
#define A9 A8, v[8]
#define A10 A9, v[9]
#define A11 A10, v[10]
#define A12 A11, v[11]
#define A13 A12, v[12]
#define A14 A13, v[13]
#define A15 A14, v[14]
#define A16 A15, v[15]
#define A17 A16, v[16]
#define A18 A17, v[17]
#define A19 A18, v[18]
#define A20 A19, v[19]
#define END (char *)NULL
#define EACH(C) C(1) C(2) C(3) C(4) C(5) C(6) C(7) C(8) C(9) C(10) C(11) C(12) C(13) C(14) \
                C(15) C(16) C(17) C(18) C(19) C(20)
#define EXECL(n) case n: return execl(program, A##n, END);
#define EXECLP(n) case n: return execlp(program, A##n, END);
#define EXECLE(n) case n: return execle(program, A##n, END, given);

/* Without arguments, v[0] is the null pointer that ends them. */
static int call_execl(const char *program, int count, char **v) {
    switch (count) { EACH(EXECL) }
    return execl(program, A1, END);
}
static int call_execlp(const char *program, int count, char **v) {
    switch (count) { EACH(EXECLP) }
    return execlp(program, A1, END);
}
static int call_execle(const char *program, int count, char **v) {
    switch (count) { EACH(EXECLE) }
    return execle(program, A1, END, given);
}

static int drain(FILE *stream) {
    char line[4096];
    while (fgets(line, sizeof line, stream))
        fputs(line, stdout);
    return pclose(stream);
}

int main(int argc, char **argv) {
    const char *function = argv[1], *program = argv[2];
    char **v = argv + 3;
    int count = argc - 3;
    pid_t pid = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    make_environment();
    if (getenv("UNSET")) {
        unsetenv("LD_PRELOAD");
        unsetenv("REDIRECTOR_WHITELIST");
    }
    errno = 0;
#define IS(name) (!strcmp(function, name))
    if (IS("execve")) return report(function, execve(program, v, given));
    if (IS("execv")) return report(function, execv(program, v));
    if (IS("execvp")) return report(function, execvp(program, v));
    if (IS("execvpe")) return report(function, execvpe(program, v, given));
    if (IS("execl")) return report(function, call_execl(program, count, v));
    if (IS("execlp")) return report(function, call_execlp(program, count, v));
    if (IS("execle")) return report(function, call_execle(program, count, v));
    if (IS("execve-null")) return report(function, execve(program, v, NULL));
    if (IS("fexecve")) return report(function, fexecve(open(program, O_RDONLY), v, given));
    if (IS("execveat-fd"))
        return report(function, execveat(open(program, O_PATH), "", v, given, AT_EMPTY_PATH));
    if (IS("execveat-cwd")) return report(function, execveat(AT_FDCWD, program, v, given, 0));
    if (IS("execveat-dir")) {
        char *slash = strrchr(program, '/'), *directory = strndup(program, slash - program);
        return report(function, execveat(open(directory, O_PATH), slash + 1, v, given, 0));
    }
    if (IS("posix_spawn"))
        return wait_for(function, posix_spawn(&pid, program, NULL, NULL, v, given), &pid);
    if (IS("posix_spawnp"))
        return wait_for(function, posix_spawnp(&pid, program, NULL, NULL, v, given), &pid);
    if (IS("posix_spawn-chdir")) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addchdir_np(&actions, getenv("DIRECTORY"));
        return wait_for(function, posix_spawn(&pid, program, &actions, NULL, v, given), &pid);
    }
    if (IS("vfork")) {
        pid = vfork();
        if (pid == 0) {
            execve(program, v, given);
            _exit(127);
        }
        return wait_for(function, 0, &pid);
    }
    if (IS("pidfd_spawn") || IS("pidfd_spawnp")) {
        int (*spawn)(int *, const char *, void *, void *, char **, char **) =
            dlsym(RTLD_DEFAULT, function);
        int pidfd = -1, result = spawn ? spawn(&pidfd, program, NULL, NULL, v, given) : ENOSYS;
        siginfo_t info = {0};
        if (result == ENOSYS) return puts("not in this libc"), 4;
        if (result) return wait_for(function, result, &pid);
        waitid(P_PIDFD, pidfd, &info, WEXITED);
        printf("child ended with %d\n", info.si_status);
        return 0;
    }
    if (IS("system")) return printf("system answered %d\n", system(program)), 0;
    if (IS("popen")) return printf("pclose answered %d\n", drain(popen(program, "r"))), 0;
    if (IS("_IO_popen")) {
        FILE *(*open_pipe)(const char *, const char *) = dlsym(RTLD_DEFAULT, function);
        return printf("pclose answered %d\n", drain(open_pipe(program, "r"))), 0;
    }
    if (IS("wordexp")) {
        wordexp_t words = {0};
        int result = wordexp(program, &words, 0);
        for (size_t i = 0; !result && i < words.we_wordc; i++)
            printf("word %s\n", words.we_wordv[i]);
        return printf("wordexp answered %d\n", result), 0;
    }
    fprintf(stderr, "caller: no function %s\n", function);
    return 2;
}
