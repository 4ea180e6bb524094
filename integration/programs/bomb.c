/* A fork bomb that ends by itself if it must.
 * usage: bomb WIDTH BIRTHS PIPE [--stay]
 *
 * WIDTH chains of processes run from whoever follows them: each process makes
 * the next one and ends, every other one in a session of its own. After BIRTHS
 * births in all, those that are alive stay until they are killed. With --stay
 * the first process does too; otherwise it ends when the chains have begun.
 *
 * All of them hold the named pipe PIPE open, into which the first one writes a
 * byte: its reader sees the end when nobody is left, however fast they come and
 * go.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void run(atomic_long *births, long most)
{
    for (;;) {
        long birth = atomic_fetch_add(births, 1);

        if (birth >= most)
            for (;;)
                pause();
        if (fork() > 0)
            _exit(0);
        if (birth % 2)
            setsid();
    }
}

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    int pipe = open(arguments[3], O_WRONLY);
    if (pipe < 0 || write(pipe, "x", 1) != 1)
        return 2;
    atomic_long *births = mmap(NULL, sizeof *births, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (births == MAP_FAILED)
        return 2;
    for (long chain = atol(arguments[1]); chain > 0; chain--)
        if (fork() == 0)
            run(births, atol(arguments[2]));
    if (count > 4 && strcmp(arguments[4], "--stay") == 0)
        for (;;)
            pause();
    return 0;
}
