/* probe_spell.c - the same program in the older spelling: program(1.0), ios16,
 * and every scalar type written as a tensor without axes. What the reader takes
 * is respelled and printed anew; what it does not take stays as it is, and the
 * chip will say what it thinks of it. */
#include "dev/probe_case.h"

static void respell_value(mil_value *v)
{
    v->old = true;
    v->type.tensor = true;
    for (int i = 0; i < v->n; i++) respell_value(&v->items[i]);
}

static void respell_op(mil_op *op)
{
    for (int i = 0; i < op->n_out; i++) op->out[i].type.tensor = true;
    for (int i = 0; i < op->n_arg; i++) respell_value(&op->arg[i].value);
    for (int i = 0; i < op->n_attr; i++) respell_value(&op->attr[i].value);
}

static void respell(mil_program *p)
{
    p->major = 1;
    p->minor = 0;
    p->build_info.old = true;
    for (int f = 0; f < p->n_func; f++) {
        p->func[f].opset = "ios16";
        for (int i = 0; i < p->func[f].n_op; i++) respell_op(&p->func[f].op[i]);
    }
}

rc probe_spell(device *d, str *text)
{
    dev_caps caps;
    mil_program *p;
    TRY(str_done(text));
    TRY(dev_caps_of(d, &caps));
    if (!d->driver->chip || !caps.profile || !caps.profile->old_mil) return OK;
    arena *mem = arena_new();
    rc r = mem ? mil_parse(mem, text->p, text->n, "probe.mil", &p) : E_MEMORY;
    if (r == OK) {
        str old = {0};
        respell(p);
        r = mil_print(p, &old);
        str_free(text);
        *text = old;
    } else if (r == E_FORMAT) {
        err_clear();
        r = OK;
    }
    arena_free(mem);
    return r;
}
