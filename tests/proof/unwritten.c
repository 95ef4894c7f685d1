/* unwritten.c - what memory.sh and valgrind.sh must see reported: a decision
 * over memory that was never written, and memory that is lost. */
#include <stdlib.h>

int main(void)
{
    int *p = malloc(2 * sizeof *p);
    if (!p) return 0;
    p[0] = 7;
    int found = p[1] == 7;
    p = NULL;
    return found;
}
