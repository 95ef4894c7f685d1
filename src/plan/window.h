/* window.h - inside plan/window*: the rewrite, and its forms and inputs. */
#ifndef PLAN_WINDOW_H
#define PLAN_WINDOW_H

#include "plan/legal.h"

enum { WEIGHT_READ = 1, WEIGHT_NOT = 2 };

/* What belongs to one scope and direction: an input of numbers and the peaks
 * of its products. */
typedef struct {
    const char *scope;
    bool backward;
    int input;        /* of the plan's window, -1 = none yet */
    int rows, wanted; /* numbers used; of the round before */
    ir_node *numbers;
    int n_values, n_sites, n_operands, n_peaks, cap_peaks;
    ir_node **peaks; /* [1,1,1,32] each */
    int n_watched, cap_watched;
    const ir_node **watched; /* operands that have a peak */
    const char *name;        /* of the output */
} window_key;

/* A value multiplied already, in one scope. */
typedef struct {
    const ir_node *x;
    int key, from, to;
    ir_node *y;
} window_made;

typedef struct {
    const ir_node *x; /* as it was before its multiplication */
    int key, factor;
} window_owner;

typedef struct {
    planner *b;
    legal l; /* l.to: the new graph */
    plan_window *w;
    const ir_graph *from;
    int round;
    bool training;               /* peaks are wanted */
    ir_node **map;               /* by old node: new */
    int *form;                   /* by old node: as stored */
    int *weight, *weight_factor; /* by old node: of params */
    bool *scores;                /* by old node: a softmax reads it */
    bool *output;                /* by old node: not of a gradient */
    const ir_node **partner;     /* by old node: whose form its constant takes out */
    const char **gradient;       /* by old node: of a param, or a term of it */
    bool *owns;                  /* by factor: some product is moved by it */
    int cap_factors, cap_forms, cap_scales, cap_inputs, cap_sites, cap_owns;
    int n_keys, cap_keys, key; /* keys outlive the first round */
    window_key *keys;
    int n_made, cap_made, n_owners, cap_owners;
    window_made *made;
    window_owner *owners;
} window;

rc window_start(window *s);
/* What is made next belongs to the scope of old node n. */
rc window_at(window *s, const ir_node *n);

/* ---- forms: numbered, 0 = nothing; -1 = no memory ---- */
int window_form_of(window *s, int factor);
int window_single(const window *s, int form); /* its one factor, or -1 */
/* a + times * b */
rc window_sum(window *s, int a, int b, int times, int *out);

/* A factor by name, made when new. */
rc window_factor(window *s, plan_factor_at at, const char *name, const char *param,
                 const char *cause, int *out);
/* One for a value in this scope (NULL: for nothing else). */
rc window_value_factor(window *s, const ir_node *x, const char *cause, int *out);

/* *x, stored in form `from`, is to be stored in form `to`. */
rc window_reform(window *s, ir_node **x, int from, int to);
/* The same if some scope does it already. */
bool window_made_anywhere(window *s, ir_node **x, int from, int to);
/* x * c in another form, by one multiplication. */
rc window_free_mul(window *s, ir_node *x, int from, int to, double c, ir_node **y);

/* n has become the product y. */
rc window_site(window *s, const ir_node *n, ir_node *y, int form, int factor,
               const char *cause);
/* x, stored in this form, is an operand of n: the factor of that form is not to
 * push it out of fp16. Once for each value of a scope. */
rc window_operand(window *s, const ir_node *n, ir_node *x, int form);
rc window_peaks(window *s); /* the outputs */

#endif
