/* blocks.h - between the files of the model room: the parts of a layer that
 * are the same whether whole sequences are computed (graph.c) or the next
 * columns of one (decode.c). Values are [1, C, 1, columns]. */
#ifndef MODEL_BLOCKS_H
#define MODEL_BLOCKS_H

#include "model/model.h"

typedef struct {
    ir_graph *g;
    const model_config *c;
    int64_t columns;
    int layer;      /* params are named after it; -1 = outside the layers */
    ir_node *table; /* of the embedding, once used */
} blocks;

/* Begin a part: params and nodes made after belong to it. */
void blocks_outside(blocks *b, const char *scope);
void blocks_layer(blocks *b, int layer);

/* ids int32 [columns] -> [1,D,1,columns] */
ir_node *blocks_embed(blocks *b, ir_node *ids);
ir_node *blocks_linear(blocks *b, const char *name, int64_t out, int64_t in, ir_node *x);
/* x normalised over its D channels */
ir_node *blocks_norm(blocks *b, const char *name, ir_node *x);
/* Queries or keys before their rotation: projected, and normalised by head
 * where the model does that. h [1,D,1,columns] -> [1,heads*hd,1,columns] */
ir_node *blocks_heads(blocks *b, const char *proj, const char *norm, int heads,
                      ir_node *h);
/* x + Wdown (silu(Wgate h) * Wup h), h = norm(x) */
ir_node *blocks_feed_forward(blocks *b, ir_node *x);
/* logits [1,V,1,columns] */
ir_node *blocks_head(blocks *b, ir_node *x);

#endif
