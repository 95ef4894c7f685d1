/* ir_fuzz.c - any bytes as the text of a graph: refused with a place, or read;
 * what is read verifies, prints, reads back to the same print, simplifies to a
 * graph that verifies, and differentiates or says why not. */
#include <stdlib.h>
#include <string.h>
#include "ir/ir.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) abort();
}

static void print(const ir_graph *g, str *out)
{
    must(ir_print(g, out) == OK);
}

static void check_text(const ir_graph *g)
{
    str a = {0}, b = {0};
    ir_graph *back;
    print(g, &a);
    must(ir_parse(a.p, a.n, "printed.ir", &back) == OK);
    print(back, &b);
    must(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
    ir_free(back);
    str_free(&a);
    str_free(&b);
}

static void check_gradient(ir_graph *g)
{
    ir_node *y = g->n_outputs ? g->outputs[0].node : NULL, *x = NULL, *dx;
    for (int i = 0; i < g->n_nodes && !x; i++)
        if (g->nodes[i]->op == IR_input || g->nodes[i]->op == IR_param) x = g->nodes[i];
    if (y && x && ir_grad(g, y, NULL, 1, &x, &dx) == OK) must(ir_verify(g) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    ir_graph *g, *small;
    if (ir_parse((const char *)bytes, n, "fuzz.ir", &g) != OK) {
        must(strlen(err_first()) > 0);
        return 0;
    }
    must(ir_verify(g) == OK);
    (void)ir_verify_dialect(g);
    check_text(g);
    must(ir_simplify(g, &small, NULL) == OK);
    must(ir_verify(small) == OK);
    ir_free(small);
    check_gradient(g);
    ir_free(g);
    return 0;
}
