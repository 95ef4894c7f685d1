/* layout.h - between the files of the model room: one tensor of a file into its
 * place among a model's floats, rows moved to the model's rotary order. */
#ifndef MODEL_LAYOUT_H
#define MODEL_LAYOUT_H

#include "model/model.h"

/* E_SHAPE when the tensor is not p's shape; out is p->count floats. */
rc model_read_tensor(const model *m, const model_param *p, const st_tensor *t,
                     float *out);

#endif
