#include <stdio.h>

int main(void)
{
    puts("anneal");
    return 0;
}
