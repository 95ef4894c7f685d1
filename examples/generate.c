/* generate.c - write text with a trained model from C.
 *
 *   cc generate.c $(pkg-config --cflags --libs anneal) -o generate
 *   ./generate runs/from-c "Once upon a time" */
#include <anneal.h>
#include <stdio.h>

static int put(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    fwrite(text, 1, bytes, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    anneal *a;
    anneal_model *model = NULL;
    anneal_sampling how = {.temperature = 0.8, .top_p = 0.95, .seed = 1};
    if (argc < 3) return fprintf(stderr, "usage: generate MODEL PROMPT\n"), 2;
    if (anneal_new(&a)) return 1;
    int failed = anneal_open_model(a, argv[1], &model);
    if (!failed) {
        fputs(argv[2], stdout);
        failed = anneal_generate(model, argv[2], 100, &how, put, NULL);
        putchar('\n');
    }
    if (failed) fprintf(stderr, "generate: %s\n", anneal_error(a));
    anneal_close_model(model);
    anneal_free(a);
    return failed;
}
