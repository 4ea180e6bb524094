/* The whitelisted program of the shim tests: says how it was started. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    const char *mark = getenv("MARK");
    printf("tool argc=%d", argc);
    for (int i = 0; i < argc && i < 30; i++)
        printf(" [%.40s]", argv[i]);
    printf(" MARK=%s\n", mark ? mark : "(unset)");
    return 0;
}
