/* below.h - questions put below the driver: to the system's own calls, without
 * the reader that checks a program first and the queue that hands runs over. */
#ifndef DEV_ANE_BELOW_H
#define DEV_ANE_BELOW_H

#include "dev/ane/ane.h"
#include "dev/check.h"

/* A program whose ports are told, not read. Free it with ane_model_put. */
rc below_load(ane_device *d, const char *name, const char *text, const dev_ports *ports,
              ane_model **out);
extern const dev_port below_in, below_out; /* in_a and out_a, fp16 [1, 4, 1, 32] */

rc below_queue(ane_device *d, dev_sight *out);   /* queue_depth */
rc below_overlap(ane_device *d, dev_sight *out); /* one_in_flight */
rc below_slots(ane_device *d, dev_sight *out);   /* surface_slots */
rc below_groups(ane_device *d, dev_sight *out);  /* grouped_conv_limit */
rc below_w8a8(ane_device *d, dev_sight *out);    /* int8_product */

#endif
