/* train.c - train a small Llama on a text file from C, showing the loss.
 *
 *   cc train.c $(pkg-config --cflags --libs anneal) -o train && ./train book.txt */
#include <anneal.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static anneal *session;

static void on_interrupt(int sig)
{
    (void)sig;
    anneal_stop(session); /* saves and returns from anneal_train */
}

static void on_request(int sig)
{
    (void)sig;
    anneal_save(session); /* makes a checkpoint and goes on */
}

static void on_event(void *ctx, const char *json, size_t bytes)
{
    (void)ctx;
    if (strstr(json, "\"kind\":\"eval\"")) printf("%.*s\n", (int)bytes, json);
}

static int fail(void)
{
    fprintf(stderr, "train: %s\n", anneal_error(session));
    anneal_free(session);
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const settings[][2] = {
        {"model.layers", "2"}, {"model.dim", "64"},   {"model.heads", "4"},
        {"model.seq", "64"},   {"train.steps", "40"}, {"train.eval_every", "20"},
        {"train.lr", "3e-3"},
    };
    anneal_result result;
    if (argc < 2) return fprintf(stderr, "usage: train TEXT [RUN]\n"), 2;
    if (anneal_new(&session)) return 1;
    signal(SIGINT, on_interrupt);
    signal(SIGUSR1, on_request);
    anneal_on_event(session, on_event, NULL);
    if (anneal_set(session, "data.text", argv[1])) return fail();
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (anneal_set(session, settings[i][0], settings[i][1])) return fail();
    if (anneal_train(session, argc > 2 ? argv[2] : "runs/from-c", &result)) return fail();
    printf("step %lld: %.4f nats per byte on held-out text\n", (long long)result.step,
           result.nats_per_byte);
    anneal_free(session);
    return 0;
}
